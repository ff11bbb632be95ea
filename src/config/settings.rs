//! Settings of a library by its own names, such as `[kafka.settings]` and `[s3]`, and where secrets come from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::cassandra::{Cassandra, Written, cassandra};
use super::number::KeyError;

/// The value of a setting as it is written: itself, with `${NAME}` for a variable of the environment, or the file that
/// holds it.
#[derive(Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a text, a number, true or false, or { file = \"PATH\" }")]
pub enum Setting {
    /// True or false.
    Switch(bool),
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// A text, in which `${NAME}` is a variable of the environment.
    Text(String),
    /// A file whose text is the value, but for a line end at its end.
    File(InFile),
}

/// Where a value lies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InFile {
    /// The file.
    pub file: PathBuf,
}

/// Settings by name. Values are never shown: which of them are secret is not for us to know.
#[derive(Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Settings(pub BTreeMap<String, Setting>);

/// How repositories on servers are reached, by their kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Access {
    /// Buckets of S3, and of what speaks like it.
    pub s3: Settings,
    /// HDFS.
    pub hdfs: Settings,
    /// Cassandra.
    pub cassandra: Cassandra,
}

pub(super) fn access(of_s3: Settings, of_hdfs: Settings, of_cassandra: Written) -> Result<Access, KeyError> {
    Ok(Access { s3: s3(of_s3)?, hdfs: hdfs(of_hdfs)?, cassandra: cassandra(of_cassandra)? })
}

fn s3(written: Settings) -> Result<Settings, KeyError> {
    match crate::repositories::unknown_of_s3(&written) {
        Some(key) => {
            let problem = "no setting of S3; usual ones are endpoint, region, access_key_id, secret_access_key, allow_http";
            Err(KeyError::new(&["s3", key], problem))
        }
        None => Ok(written),
    }
}

fn hdfs(written: Settings) -> Result<Settings, KeyError> {
    match crate::repositories::unknown_of_hdfs(&written) {
        Some(key) => {
            let problem =
                "no setting of HDFS: it is `user`, or one of Hadoop's, such as \"dfs.nameservices\"";
            Err(KeyError::new(&["hdfs", key], problem))
        }
        None => Ok(written),
    }
}

/// A setting whose value cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("`{key}`: {problem}")]
pub struct SettingError {
    /// The setting.
    pub key: String,
    /// Why not.
    pub problem: String,
}

impl fmt::Debug for Setting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("…")
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}

impl Settings {
    /// Names and values, with variables and files read.
    pub fn read(&self) -> Result<Vec<(String, String)>, SettingError> {
        let variable = |name: &str| std::env::var(name).ok();
        self.0.iter().map(|(key, setting)| Ok((key.clone(), setting.read(key, &variable)?))).collect()
    }
}

impl Setting {
    /// The value, with variables and files read; `key` is what errors call it.
    pub fn value(&self, key: &str) -> Result<String, SettingError> {
        self.read(key, &|name| std::env::var(name).ok())
    }

    fn read(&self, key: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, SettingError> {
        let refuse = |problem: String| SettingError { key: key.to_owned(), problem };
        match self {
            Setting::Switch(value) => Ok(value.to_string()),
            Setting::Whole(value) => Ok(value.to_string()),
            Setting::Number(value) => Ok(value.to_string()),
            Setting::Text(text) => filled(text, variable).map_err(refuse),
            Setting::File(InFile { file }) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| refuse(format!("{} cannot be read: {error}", file.display())))?;
                let text = text.strip_suffix('\n').unwrap_or(&text);
                Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
            }
        }
    }
}

/// A text with each `${NAME}` replaced. `$` alone stands for itself.
fn filled(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        let (name, after) = behind.split_once('}').ok_or("`${` has no `}` behind it: write ${NAME}")?;
        let value = variable(name).ok_or_else(|| format!("the environment has no variable {name}"))?;
        out += before;
        out += &value;
        rest = after;
    }
    Ok(out + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn values_come_from_the_config_the_environment_and_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "hunter2\n").unwrap();
        let text = format!(
            "\"fetch.wait.max.ms\" = 100\n\"check.crcs\" = false\n\"sasl.password\" = {{ file = {:?} }}\n\
             \"sasl.username\" = \"$me-${{PATH}}\"",
            file.display().to_string()
        );
        let read: BTreeMap<_, _> = settings(&text).read().unwrap().into_iter().collect();
        let path = std::env::var("PATH").unwrap();
        assert_eq!(read["fetch.wait.max.ms"], "100");
        assert_eq!(read["check.crcs"], "false");
        assert_eq!(read["sasl.password"], "hunter2");
        assert_eq!(read["sasl.username"], format!("$me-{path}"));
    }

    #[test]
    fn what_is_not_there_is_said_by_its_key() {
        for (text, said) in [
            ("\"sasl.password\" = \"${NEARLINE_NO_SUCH}\"", "NEARLINE_NO_SUCH"),
            ("\"sasl.password\" = \"${OPEN\"", "${NAME}"),
            ("\"sasl.password\" = { file = \"/no/such/file\" }", "/no/such/file"),
        ] {
            let error = settings(text).read().unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("sasl.password"), "{error}");
        }
    }

    #[test]
    fn no_value_is_ever_shown() {
        let shown = format!("{:?}", settings("\"sasl.password\" = \"hunter2\""));
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    }
}
