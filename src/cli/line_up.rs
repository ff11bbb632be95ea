//! What lists are to be made with: from the config, the folder, and what a command asks for, to models in memory.
//!
//! A folder has a live model. Variants are the config's; each is made with the live model or with one of its own. A
//! promotion is the folder's: it makes the variant's model the live one, and holds as long as the config says of variants
//! what it said then.

use std::path::Path;
use std::sync::Arc;

use nearline_dataflows::line_up::{LineUp as Makings, Making};
use nearline_dataflows::types::Item;
use nearline_factors::ItemSide;

use super::Failure;
use super::opening::about;
use crate::config::{self, Config, KindTable};
use crate::engine::{GivenLineUp, LineUpSource};
use crate::failpoints::reach;
use crate::folder::Folder;
use crate::offline::Model;
use crate::variants::{MadeWith, Variant, Variants};

/// What lists are to be made with, with its models.
pub(super) struct LineUp {
    pub(super) made_with: MadeWith,
    /// By version, each once.
    models: Vec<Model>,
}

/// What is to be other than it is.
#[derive(Clone, Copy, Default)]
pub(super) struct Change<'a> {
    /// The live model, a folder.
    pub(super) model: Option<&'a Path>,
    /// The variant that every member is to have.
    pub(super) promote: Option<&'a str>,
    /// Whether models that the config names are read anew.
    pub(super) renew: bool,
}

impl Change<'_> {
    /// Whether nothing is asked for.
    pub(super) fn is_none(self) -> bool {
        self.model.is_none() && self.promote.is_none()
    }

    /// Another live model.
    pub(super) fn model(model: Option<&Path>) -> Change<'_> {
        Change { model, ..Change::default() }
    }
}

impl LineUp {
    /// What a store says its lists are made with, from the folder's own models.
    pub(super) fn stored(folder: &Folder, made_with: &MadeWith) -> Result<Self, Failure> {
        let versions = made_with.models().into_iter();
        let models = versions.map(|version| load(&folder.model(version))).collect::<Result<_, _>>()?;
        Ok(LineUp { made_with: made_with.clone(), models })
    }

    /// What the lists of a folder are to be made with under a config, where `known` is what they are made with.
    pub(super) fn wanted(
        folder: &Folder,
        config: &Config,
        known: &MadeWith,
        change: Change<'_>,
    ) -> Result<Self, Failure> {
        let mut made = LineUp { made_with: MadeWith::default(), models: Vec::new() };
        made.made_with.model = match change.model {
            Some(path) => Some(made.take(adopt(folder, config, path)?)),
            None => known.model.clone(),
        };
        if let Some(variants) = &config.variants {
            let before = known.variants.as_ref().filter(|before| before.section == variants.section());
            if let Some(name) = change.promote.filter(|name| variants.get(name).is_none()) {
                let names: Vec<&str> = variants.variants.iter().map(|variant| &*variant.name).collect();
                let there_are = names.join(", ");
                return Err(Failure::Use(format!("the config has no variant {name}; there are {there_are}")));
            }
            let promoted = promoted(before, change.promote)?;
            let mut variants = unmade(variants, promoted.is_none().then_some(()).and(before));
            match promoted {
                None => made.own_models(folder, config, &mut variants, change.renew)?,
                Some(name) => made.promote(folder, config, known, &mut variants, &name)?,
            }
            made.made_with.variants = Some(variants);
        } else if change.promote.is_some() {
            return Err(Failure::Use("the config has no variants: see docs/variants.md".into()));
        }
        // The live model, and those of variants that are as they were.
        for version in made.made_with.models() {
            if !made.models.iter().any(|model| model.manifest.version == version) {
                made.models.push(load(&folder.model(version))?);
            }
        }
        Ok(made)
    }

    fn take(&mut self, model: Model) -> String {
        let version = model.manifest.version.clone();
        if !self.models.iter().any(|known| known.manifest.version == version) {
            self.models.push(model);
        }
        version
    }

    /// Reads the models that the config names, where they are not those that are known or may have changed.
    fn own_models(
        &mut self,
        folder: &Folder,
        config: &Config,
        variants: &mut Variants,
        renew: bool,
    ) -> Result<(), Failure> {
        let named = config.variants.iter().flat_map(|variants| &variants.variants);
        for (variant, config::Variant { name, model, .. }) in variants.variants.iter_mut().zip(named) {
            let Some(path) = model else { continue };
            if variant.model.is_some() && !renew {
                continue;
            }
            match (adopt(folder, config, path), &variant.model) {
                (Ok(model), _) => variant.model = Some(self.take(model)),
                (Err(error), Some(_)) => {
                    tracing::warn!(%error, variant = name, "a variant's model cannot be read: it stays with the one it has");
                }
                (Err(error), None) => return Err(error.of_variant(name)),
            }
        }
        Ok(())
    }

    /// Makes a variant's model the live one; the others' are of no use from there on.
    fn promote(
        &mut self,
        folder: &Folder,
        config: &Config,
        known: &MadeWith,
        variants: &mut Variants,
        name: &str,
    ) -> Result<(), Failure> {
        let before = known.variants.as_ref().filter(|before| before.section == variants.section);
        if before.is_none_or(|before| before.promoted.is_none()) {
            let of_variant =
                before.and_then(|before| before.get(name)).and_then(|variant| variant.model.clone());
            let named = config.variants.iter().flat_map(|variants| &variants.variants);
            let path =
                named.filter(|variant| variant.name == name).find_map(|variant| variant.model.as_ref());
            match (of_variant, path) {
                (Some(version), _) => self.made_with.model = Some(version),
                (None, Some(path)) => {
                    let model = adopt(folder, config, path).map_err(|error| error.of_variant(name))?;
                    self.made_with.model = Some(self.take(model));
                }
                (None, None) => {}
            }
        }
        variants.promoted = Some(name.to_owned());
        Ok(())
    }

    /// The versions of its models.
    pub(super) fn versions(&self) -> impl Iterator<Item = &str> {
        self.models.iter().map(|model| model.manifest.version.as_str())
    }

    /// Makes it ready for the graph, with all that takes long; `folder` is where the models are kept.
    pub(super) fn given(self, folder: Option<&Folder>, config: &Config) -> GivenLineUp {
        let models = self.models.into_iter().map(|model| (model.side(), model)).collect();
        let (folder, table) = (folder.cloned(), config.kinds.clone());
        Box::new(Numbered { made_with: self.made_with, models, folder, table })
    }
}

/// The variant that every member has: the one that is asked for, or that it was decided for. Whoever wants another one
/// after that goes back first, as the models of the others may be gone.
fn promoted(before: Option<&Variants>, asked: Option<&str>) -> Result<Option<String>, Failure> {
    let known = before.and_then(|before| before.promoted.as_deref());
    match (known, asked) {
        (Some(known), Some(asked)) if known != asked => Err(Failure::No(format!(
            "variant {known} is promoted already: go back with `nearline model rollback`, or begin another experiment"
        ))),
        (known, asked) => Ok(asked.or(known).map(str::to_owned)),
    }
}

/// The config's variants, with the models that they have.
fn unmade(variants: &config::Variants, before: Option<&Variants>) -> Variants {
    let one = |variant: &config::Variant| Variant {
        name: variant.name.clone(),
        share: variant.share,
        algorithm: variant.algorithm,
        model: before.and_then(|before| before.get(&variant.name)).and_then(|before| before.model.clone()),
    };
    Variants {
        experiment: variants.experiment.clone(),
        section: variants.section(),
        promoted: None,
        variants: variants.variants.iter().map(one).collect(),
    }
}

impl Failure {
    fn of_variant(self, name: &str) -> Self {
        match self {
            Failure::Use(why) => Failure::Use(format!("the model of variant {name}: {why}")),
            other => other,
        }
    }
}

/// A line-up on its way into the graph.
struct Numbered {
    made_with: MadeWith,
    models: Vec<(ItemSide, Model)>,
    /// Where models are kept.
    folder: Option<Folder>,
    table: KindTable,
}

impl LineUpSource for Numbered {
    fn made_with(&self) -> &MadeWith {
        &self.made_with
    }

    fn keep(&self) -> Result<(), String> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let mut models = self.models.iter().map(|(_, model)| model);
        models
            .try_for_each(|model| keep(model, &folder.model(&model.manifest.version)))
            .map_err(|failure| failure.to_string())
    }

    fn numbered(self: Box<Self>, number: &mut dyn FnMut(&str) -> Item) -> Makings {
        let Numbered { made_with, models, table, .. } = *self;
        let numbered: Vec<_> = models
            .into_iter()
            .map(|(side, model)| Arc::new(model.with_side(side, &table, &mut *number)))
            .collect();
        let of =
            |version: Option<&str>| numbered.iter().find(|model| Some(&*model.version) == version).cloned();
        let makings = made_with.line_up();
        let making = |making: crate::variants::Making<'_>| Making {
            model: of(making.model),
            kept: making.algorithm.is_kept(),
        };
        Makings::new(makings.into_iter().map(making).collect())
    }
}

/// Loads a model, and keeps a copy in the data folder, so that answers and `verify` need nothing from elsewhere.
/// Item factors of Spark MLlib are taken with the config's weights and regularisation.
fn adopt(folder: &Folder, config: &Config, path: &Path) -> Result<Model, Failure> {
    let model = read(config, path)?;
    keep(&model, &folder.model(&model.manifest.version))?;
    Ok(model)
}

/// Reads a model: one of ours, or of Spark MLlib.
pub(super) fn read(config: &Config, path: &Path) -> Result<Model, Failure> {
    if !Model::is_spark(path) {
        return load(path);
    }
    Model::from_spark(path, &config.kinds, &config.train).map_err(|error| Failure::Use(error.to_string()))
}

/// Keeps a model, where it is not kept already.
fn keep(model: &Model, own: &Path) -> Result<(), Failure> {
    if let Some(models) = own.parent() {
        std::fs::create_dir_all(models).map_err(|error| about(models, &error))?;
    }
    model.save(own).map_err(|error| Failure::Failed(error.to_string()))?;
    reach("model-kept");
    Ok(())
}

/// Loads one of our models.
pub(super) fn load(path: &Path) -> Result<Model, Failure> {
    Model::load(path).map_err(|error| Failure::Use(error.to_string()))
}
