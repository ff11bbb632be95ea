//! The file that says where the processes of a pipeline are.

use std::path::{Path, PathBuf};

/// Where each process listens for the others, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts(pub Vec<String>);

/// What is wrong with a file of hosts.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// It cannot be read.
    #[error("the hosts {} cannot be read: {message}; give a file with a line HOST:PORT for each process", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What was said.
        message: String,
    },
    /// A line is no address.
    #[error("line {line} of the hosts {}: {text:?} is not HOST:PORT", .path.display())]
    NoAddress {
        /// The file.
        path: PathBuf,
        /// Which line, from 1 on.
        line: usize,
        /// The line.
        text: String,
    },
    /// Two processes would listen at one address.
    #[error("the hosts {} name {text} twice; each process listens at an address of its own", .path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// The address.
        text: String,
    },
    /// There are more or fewer than processes.
    #[error(
        "the hosts {} name {found} addresses, and there are {processes} processes; give a line HOST:PORT for each",
        .path.display()
    )]
    Count {
        /// The file.
        path: PathBuf,
        /// How many there are.
        found: usize,
        /// How many there should be.
        processes: usize,
    },
}

impl Hosts {
    /// Reads a file with a line `HOST:PORT` for each process, in the order of their numbers. What follows a `#` is a remark.
    pub fn read(path: &Path, processes: usize) -> Result<Self, HostsError> {
        let own = path.to_owned();
        let text = std::fs::read_to_string(path)
            .map_err(|error| HostsError::Unreadable { path: own.clone(), message: error.to_string() })?;
        let mut hosts: Vec<String> = Vec::new();
        for (line, text) in text.lines().enumerate() {
            let text = text.split('#').next().unwrap_or_default().trim();
            if text.is_empty() {
                continue;
            }
            let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            if port.is_none_or(|(_, port)| port.parse::<u16>().map_or(true, |port| port == 0)) {
                return Err(HostsError::NoAddress { path: own, line: line + 1, text: text.to_owned() });
            }
            if hosts.iter().any(|host| host == text) {
                return Err(HostsError::Twice { path: own, text: text.to_owned() });
            }
            hosts.push(text.to_owned());
        }
        if hosts.len() != processes {
            return Err(HostsError::Count { path: own, found: hosts.len(), processes });
        }
        Ok(Hosts(hosts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, processes: usize) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        std::fs::write(&path, text).unwrap();
        Hosts::read(&path, processes).map(|hosts| hosts.0).map_err(|error| error.to_string())
    }

    #[test]
    fn each_line_is_a_process_and_remarks_are_none() {
        let hosts = read("# ours\na.example:7071\n\n [::1]:7072 # the second\n", 2);
        assert_eq!(hosts, Ok(vec!["a.example:7071".into(), "[::1]:7072".into()]));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, processes, said) in [
            ("a:1\nb", 2, "line 2"),
            ("a:0", 1, "\"a:0\" is not HOST:PORT"),
            (":1", 1, "is not HOST:PORT"),
            ("a:1\na:1", 2, "twice"),
            ("a:1", 2, "name 1 addresses, and there are 2"),
        ] {
            let error = read(text, processes).unwrap_err();
            assert!(error.contains(said), "{text:?}: {error}");
        }
        let error = Hosts::read(Path::new("/nowhere/hosts"), 2).unwrap_err().to_string();
        assert!(error.contains("cannot be read") && error.contains("a line HOST:PORT"), "{error}");
    }
}
