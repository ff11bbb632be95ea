//! The variants of the config: names, shares, algorithms and models, checked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::number::{KeyError, micros};
use super::written;
use crate::variants::Algorithm;

/// Side by side there are as many at most: each has a line in tables and a label in metrics.
const MAX_VARIANTS: usize = 16;
/// The longest name: it goes into the context of events and into paths.
const MAX_NAME: usize = 64;
/// The largest share.
const MAX_SHARE: f64 = 1_000_000.0;

/// Ways of making lists side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variants {
    /// What members are split by, beside their ids.
    pub experiment: String,
    /// By name; never empty, and some have a share.
    pub variants: Vec<Variant>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// Its weight beside the others, in millionths.
    pub share: i64,
    /// How its lists are made.
    pub algorithm: Algorithm,
    /// The folder of its own model; none where it is the live one.
    pub model: Option<PathBuf>,
}

impl Variants {
    /// What has meaning of it, in a canonical text: everything but where models come from, since a model is known by its
    /// version.
    pub(super) fn meaning(&self) -> String {
        let mut text = format!("experiment {}\n", serde_json::Value::from(&*self.experiment));
        for Variant { name, share, algorithm, .. } in &self.variants {
            text += &format!("variant {name} share {share} algorithm {}\n", algorithm.as_str());
        }
        text
    }

    /// A variant by its name.
    pub fn get(&self, name: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.name == name)
    }

    /// A hash of all of it, as hexadecimal: what was decided of these variants holds as long as it stays.
    pub fn section(&self) -> String {
        let mut text = self.meaning();
        for Variant { name, model, .. } in &self.variants {
            if let Some(model) = model {
                text += &format!("model {name} {}\n", model.display());
            }
        }
        blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
    }
}

/// What was written, checked; none where there are no variants.
pub(super) fn variants(
    experiment: String,
    written: BTreeMap<String, written::Variant>,
) -> Result<Option<Variants>, KeyError> {
    if written.is_empty() {
        return Ok(None);
    }
    if experiment.len() > MAX_NAME || experiment.chars().any(char::is_control) {
        let wanted = format!("must have {MAX_NAME} bytes at most and no control characters");
        return Err(KeyError::new(&["experiment"], wanted));
    }
    if written.len() > MAX_VARIANTS {
        let wanted = format!("there may be {MAX_VARIANTS} at most, and are {}", written.len());
        return Err(KeyError::new(&["variants"], wanted));
    }
    let variants = written.into_iter().map(variant).collect::<Result<Vec<_>, _>>()?;
    if variants.iter().all(|variant| variant.share == 0) {
        return Err(KeyError::new(&["variants"], "one of them must have a share above 0"));
    }
    Ok(Some(Variants { experiment, variants }))
}

fn variant((name, written): (String, written::Variant)) -> Result<Variant, KeyError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(plain) {
        let wanted = format!("a name has 1 to {MAX_NAME} letters, digits, `-` and `_`");
        return Err(KeyError::new(&["variants", &name], wanted));
    }
    let key = |key| ["variants", name.as_str(), key];
    if written.share.is_sign_negative() {
        return Err(KeyError::new(&key("share"), "must be 0 or more"));
    }
    let share = micros(&key("share"), written.share, MAX_SHARE)?;
    if written.model.is_some() && !written.algorithm.is_kept() {
        let wanted = "is for the algorithm \"factors\" alone; leave it out";
        return Err(KeyError::new(&key("model"), wanted));
    }
    if written.model.as_ref().is_some_and(String::is_empty) {
        return Err(KeyError::new(
            &key("model"),
            "must be the folder of a model; leave it out for the live one",
        ));
    }
    let (algorithm, model) = (written.algorithm, written.model.map(PathBuf::from));
    Ok(Variant { name, share, algorithm, model })
}
