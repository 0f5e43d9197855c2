//! The words of tokio and of the console itself, which tell nothing about the program or its owner.

const WORDS: &str = "
    Acquire Barrier BlockingTask Box Interval Launch Mutex Notified Notify OnceCell Receiver RwLock Semaphore Sender Sleep
    Spawner Sync Timer
    acquire acquire_many acquire_many_owned acquire_owned add arrived async_op awakened await barrier batch_semaphore
    block_on blocking broadcast bytes changed clone closed closure col concrete_type core current_readers current_thread drop
    duration event false file fn generation get_or_init id inherits_child_attrs interval is_internal is_leader is_ready kind
    launch line loc local location lock lock_blocking lock_owned locked max_readers mpsc ms multi_thread multi_thread_alt mutex
    name new new_timeout notified notify ns oneshot op op_name original_size override permits permits_obtained
    permits_requested poll poll_acquire poll_closed poll_elapsed poll_op poll_recv poll_tick pool read read_owned recv reserve
    reset resource rs runtime rwlock rx rx_dropped s scheduler self semaphore send size sleep source spawn state
    state_update std sub sync task tick time timer tokio trace true tx tx_dropped unit us util value_received value_sent
    wait wake wake_by_ref waker watch worker write write_locked write_owned";

/// Inventory variables by which fleets are usually told apart: their names say nothing, their values do.
const ATTRIBUTES: &str =
    "arch az cluster commit datacenter dc env environment os rack region release role stage tier version zone";

pub(super) fn is_known(word: &str) -> bool {
    WORDS.split_ascii_whitespace().any(|known| known == word)
}

pub(super) fn is_attribute(name: &str) -> bool {
    ATTRIBUTES.split_ascii_whitespace().any(|known| known == name)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_stand_in_is_never_a_known_word() {
        assert!(!super::WORDS.split_ascii_whitespace().any(|word| word.starts_with('x')));
    }
}
