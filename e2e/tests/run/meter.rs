//! What something costs a process that is not ours: its CPU time, and how far its memory grows meanwhile.

use std::fmt;
use std::time::Duration;

use crate::saldo::cpu_of;

/// Begun before it, and read after it.
pub struct Meter {
    process: u32,
    cpu: Duration,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub cpu: Duration,
    /// By how much the process's memory was larger at its most than it was before.
    pub bytes: u64,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms of CPU and {} KiB of memory", self.cpu.as_millis(), self.bytes / 1024)
    }
}

impl Meter {
    pub fn start(process: u32) -> Self {
        // 5 makes the memory of now the most that there was: each case has a peak of its own.
        let reset = std::fs::write(format!("/proc/{process}/clear_refs"), "5");
        if let Err(error) = &reset {
            eprintln!("NOTE: the peak of memory cannot be reset ({error}); only what exceeds the one so far is seen");
        }
        let bytes = memory(process, if reset.is_ok() { "VmRSS:" } else { "VmHWM:" });
        Self { process, cpu: cpu_of(process), bytes }
    }

    pub fn read(&self) -> Taken {
        let most = memory(self.process, "VmHWM:");
        Taken { cpu: cpu_of(self.process) - self.cpu, bytes: most.saturating_sub(self.bytes) }
    }
}

/// A line of the process's status, which is in kibibytes.
pub fn memory(process: u32, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("Linux");
    let value = status.lines().find_map(|of| of.strip_prefix(line)).expect("a line of the status");
    1024 * value.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
}

#[test]
fn a_meter_sees_what_is_used() {
    let meter = Meter::start(std::process::id());
    let mut hungry = vec![1_u8; 64 * 1024 * 1024];
    while meter.read().cpu < Duration::from_millis(50) {
        hungry.iter_mut().for_each(|byte| *byte = byte.wrapping_mul(3));
    }
    drop(hungry);
    assert!(meter.read().bytes >= 60 * 1024 * 1024, "{}", meter.read());
}
