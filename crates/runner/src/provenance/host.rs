//! What the system says of this machine and this process.

use std::process::Command;

/// Largest resident memory of this process so far, where the system tells.
pub(crate) fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    kibibytes_after(&status, "VmHWM:")
}

/// Memory of the machine, where the system tells.
pub(crate) fn memory_bytes() -> Option<u64> {
    // `/proc` on Linux, `sysctl` on Apple's systems.
    if let Ok(text) = std::fs::read_to_string("/proc/meminfo") {
        return kibibytes_after(&text, "MemTotal:");
    }
    output("sysctl", &["-n", "hw.memsize"])?.parse().ok()
}

/// The processor's name, where the system tells.
pub(crate) fn cpu_model() -> Option<String> {
    if let Ok(text) = std::fs::read_to_string("/proc/cpuinfo") {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        return Some(line.split_once(':')?.1.trim().to_owned());
    }
    output("sysctl", &["-n", "machdep.cpu.brand_string"])
}

/// Threads that run at once.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Level, kind and size of the first core's caches, where the system tells.
pub(crate) fn caches() -> Vec<String> {
    let folder = std::path::Path::new("/sys/devices/system/cpu/cpu0/cache");
    let of = |index: usize| -> Option<String> {
        let read = |name: &str| {
            let text = std::fs::read_to_string(folder.join(format!("index{index}/{name}"))).ok()?;
            Some(text.trim().to_owned())
        };
        let (level, kind, size) = (read("level")?, read("type")?, read("size")?);
        Some(format!("L{level} {} {size}", kind.to_lowercase()))
    };
    (0..).map_while(of).collect()
}

/// Names of the graphics processors that NVIDIA's driver tells of.
pub(crate) fn gpus() -> Vec<String> {
    let folders = std::fs::read_dir("/proc/driver/nvidia/gpus");
    let mut names: Vec<String> = folders
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let text = std::fs::read_to_string(entry.ok()?.path().join("information")).ok()?;
            let model = text.lines().find_map(|line| line.strip_prefix("Model:"))?;
            Some(model.trim().to_owned())
        })
        .collect();
    // The order of a directory is the file system's.
    names.sort();
    names
}

/// What a program says on stdout, trimmed; absent where it is not there or fails.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn kibibytes_after(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = rest.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(kibibytes_after(text, "VmHWM:"), Some(2_097_152));
        assert_eq!(kibibytes_after(text, "VmPeak:"), None);
    }
}
