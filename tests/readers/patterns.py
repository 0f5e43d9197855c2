"""What Ansible selects: for each pattern that is given after the inventory, its hosts in their order, as JSON."""

import json
import sys

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader

init_plugin_loader()
inventory = InventoryManager(loader=DataLoader(), sources=[sys.argv[1]])
print(json.dumps({pattern: [host.name for host in inventory.get_hosts(pattern)] for pattern in sys.argv[2:]}))
