//! The line-up: which model makes the lists of which members.
//!
//! Without variants it has one entry, and every member is that one's. With variants it has an entry for each, in their
//! order, and what members belong to is looked up in [`Assignment`]. So each member's lists are made from one model. A
//! variant whose lists are made when they are read keeps none here: its members have what they began, which its model
//! weighs, and no more.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use nearline_factors::Bitmap;

use crate::kinds::Kinds;
use crate::model::Model;
use crate::types::{Assignment, Item, Member};

/// What the lists of some members are made with.
#[derive(Clone, Debug)]
pub struct Making {
    /// The model; there may be none.
    pub model: Option<Arc<Model>>,
    /// Whether members have a factor and `top_picks` of it.
    pub kept: bool,
}

/// What the lists of all members are made with: never empty.
#[derive(Clone, Debug)]
pub struct LineUp(Vec<Making>);

impl LineUp {
    /// One model for all members, or none.
    pub fn one(model: Option<Arc<Model>>) -> Self {
        LineUp(vec![Making { model, kept: true }])
    }

    /// What each variant's members have, in the order of variants; as [`LineUp::one`] without a model where there are none.
    pub fn new(variants: Vec<Making>) -> Self {
        if variants.is_empty() { LineUp::one(None) } else { LineUp(variants) }
    }

    /// What each variant's members have, in the order of variants.
    pub fn makings(&self) -> &[Making] {
        &self.0
    }
}

/// One entry of a line-up, and what follows from it.
pub(crate) struct InUse {
    pub(crate) model: Option<Arc<Model>>,
    pub(crate) kept: bool,
    /// The configured kinds, with the model's weights where there is a model.
    pub(crate) kinds: Kinds,
    /// By the model's index: items that are not withdrawn.
    pub(crate) available: Rc<Bitmap>,
}

impl InUse {
    fn new(making: Making, configured: &Kinds, withdrawn: &BTreeSet<Item>) -> Self {
        let Making { model, kept } = making;
        let kinds = match &model {
            Some(model) => configured.weighted_by(&model.weights),
            None => configured.clone(),
        };
        let mut made = InUse { model, kept, kinds, available: Rc::new(Bitmap::full(0)) };
        made.mark_available(withdrawn);
        made
    }

    fn lists(&self, item: Item) -> bool {
        self.kept && self.model.as_ref().is_some_and(|model| model.index_of(item).is_some())
    }

    fn mark_available(&mut self, withdrawn: &BTreeSet<Item>) {
        let Some(model) = &self.model else { return };
        let mut available = Bitmap::full(model.items().len());
        for index in withdrawn.iter().filter_map(|item| model.index_of(*item)) {
            available.set(index, false);
        }
        self.available = Rc::new(available);
    }
}

/// A line-up at work.
pub(crate) struct Lined(Vec<InUse>);

impl Lined {
    pub(crate) fn new(line_up: LineUp, configured: &Kinds, withdrawn: &BTreeSet<Item>) -> Self {
        Lined(line_up.0.into_iter().map(|making| InUse::new(making, configured, withdrawn)).collect())
    }

    /// Whether an item may be in a list that is kept.
    pub(crate) fn lists(&self, item: Item) -> bool {
        self.0.iter().any(|in_use| in_use.lists(item))
    }

    pub(crate) fn mark_available(&mut self, withdrawn: &BTreeSet<Item>) {
        self.0.iter_mut().for_each(|in_use| in_use.mark_available(withdrawn));
    }

    /// Deals members out to what their lists are made with; whoever has no member is not among them.
    pub(crate) fn deal<'a>(
        &'a self,
        members: &[Member],
        assignment: &dyn Assignment,
    ) -> Vec<(&'a InUse, Vec<Member>)> {
        if let [alone] = &self.0[..] {
            return vec![(alone, members.to_vec())];
        }
        let mut dealt: Vec<_> = self.0.iter().map(|in_use| (in_use, Vec::new())).collect();
        let last = dealt.len() - 1;
        for member in members {
            dealt[assignment.variant(*member).min(last)].1.push(*member);
        }
        dealt.retain(|(_, members)| !members.is_empty());
        dealt
    }
}
