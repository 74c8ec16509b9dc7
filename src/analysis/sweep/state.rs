use super::about::{About, Shard};
use super::contexts::Contexts;
use super::counts::Counts;
use super::null::Units;
use super::reading::{Phase, Reading};
use super::vocabulary::Vocabulary;
use crate::trace::{Dtype, Piece};
use anyhow::{Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};

/// A sweep: exact counts and sums, by group and phase, and what is kept over all groups.
///
/// It does not depend on the order in which windows are added or shards are merged.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// What it is of.
    pub about: About,
    /// By name.
    pub groups: BTreeMap<String, Group>,
    /// What is kept over all groups.
    pub wide: BTreeMap<Phase, Wide>,
    /// Parts of texts whose labels can be shuffled, if they are to be.
    pub units: Units,
    /// The spelling of every token that is named in vocabulary and contexts.
    pub pieces: BTreeMap<u32, Piece>,
    dtype: Dtype,
}

/// The texts of a group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// Texts.
    pub texts: u64,
    /// Parts of them.
    pub parts: u64,
    /// Their counts.
    pub phases: BTreeMap<Phase, Counts>,
}

/// What is kept over all groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Wide {
    /// The experts of each token.
    pub vocabulary: Vocabulary,
    /// Contexts of each expert.
    pub contexts: Contexts,
}

impl Wide {
    /// Nothing yet.
    pub fn new(about: &About) -> Self {
        let (shape, options) = (about.model.shape, &about.options);
        let vocabulary = Vocabulary::new(shape, &options.vocabulary);
        Self { vocabulary, contexts: Contexts::new(shape, options.seed, options.contexts) }
    }
}

impl Sweep {
    /// Nothing yet.
    pub fn new(about: About) -> Self {
        let dtype = about.near_tie_dtype();
        let units = Units::new(about.model.shape, about.options.seed);
        Self { about, groups: BTreeMap::new(), wide: BTreeMap::new(), units, pieces: BTreeMap::new(), dtype }
    }

    /// Counts a window. The sizes of the reading are those of the sweep.
    pub fn add(&mut self, reading: &Reading) {
        let (shape, dtype) = (self.about.model.shape, self.dtype);
        let group = self.group(&reading.group);
        if reading.place.window == 0 && reading.phase == Phase::Prefill {
            group.parts += 1;
            group.texts += u64::from(reading.is_first_part);
        }
        group.phases.entry(reading.phase).or_insert_with(|| Counts::new(shape)).add(reading, dtype);
        if self.about.options.null > 0 {
            self.units.add(reading);
        }
        let about = &self.about;
        let wide = self.wide.entry(reading.phase).or_insert_with(|| Wide::new(about));
        wide.vocabulary.add(reading);
        wide.contexts.add(reading);
    }

    fn group(&mut self, name: &str) -> &mut Group {
        self.groups.entry(name.to_owned()).or_default()
    }

    /// The tokens that vocabulary and contexts name.
    fn named(&self) -> BTreeSet<u32> {
        let layers = self.about.model.shape.layers;
        let mut ids = BTreeSet::new();
        for wide in self.wide.values() {
            for kind in wide.vocabulary.kinds() {
                (0..layers).for_each(|layer| ids.extend(wide.vocabulary.tokens(*kind, layer).map(|(id, ..)| id)));
            }
            ids.extend(wide.contexts.ids());
        }
        ids
    }

    /// Notes how the tokens are spelled that vocabulary and contexts name.
    pub fn spell(&mut self, piece: impl Fn(u32) -> Piece) {
        self.pieces = self.named().into_iter().map(|id| (id, piece(id))).collect();
    }

    /// Tokens of all groups and phases.
    pub fn tokens(&self) -> u64 {
        self.groups.values().flat_map(|group| group.phases.values()).map(|counts| counts.tokens).sum()
    }

    fn absorb(&mut self, other: Self) {
        for (name, theirs) in other.groups {
            let mine = self.group(&name);
            mine.texts += theirs.texts;
            mine.parts += theirs.parts;
            for (phase, counts) in theirs.phases {
                match mine.phases.get_mut(&phase) {
                    Some(mine) => mine.merge(&counts),
                    None => drop(mine.phases.insert(phase, counts)),
                }
            }
        }
        for (phase, theirs) in other.wide {
            match self.wide.get_mut(&phase) {
                Some(mine) => {
                    mine.vocabulary.merge(&theirs.vocabulary);
                    mine.contexts.merge(&theirs.contexts);
                }
                None => drop(self.wide.insert(phase, theirs)),
            }
        }
        self.units.merge(&other.units);
        self.pieces.extend(other.pieces);
    }

    /// The sweep of the whole corpus from all its shards, in any order. Each has a name for messages.
    ///
    /// # Errors
    /// If there are none, one is no shard, two are of different sweeps or the same part, or a part is missing.
    pub fn merged(shards: impl IntoIterator<Item = Result<(String, Sweep)>>) -> Result<Self> {
        let mut whole: Option<(String, Sweep)> = None;
        let mut found: BTreeMap<u64, String> = BTreeMap::new();
        let mut of = 0;
        for shard in shards {
            let (name, sweep) = shard?;
            ensure!(
                sweep.about.cursor.is_none(),
                "{name} was stopped before its end; finish it with --resume before it is merged"
            );
            let Some(Shard { number, of: all }) = sweep.about.shard else {
                bail!("{name} is a sweep of a whole corpus, expected a shard; it needs no merging");
            };
            if let Some((first, whole)) = &whole {
                if let Some((what, a, b)) = whole.about.difference(&sweep.about) {
                    bail!(
                        "{first} and {name} are not shards of one sweep: {what} is {a} in the first and {b} in the second"
                    );
                }
                ensure!(
                    of == all,
                    "{first} is one of {of} shards, {name} one of {all}: they are not shards of one sweep"
                );
            }
            of = all;
            if let Some(other) = found.insert(number, name.clone()) {
                bail!("{other} and {name} are both shard {number} of {of}; leave one of them out");
            }
            match &mut whole {
                Some((_, whole)) => whole.absorb(sweep),
                None => whole = Some((name, sweep)),
            }
        }
        let missing: Vec<String> =
            (1..=of).filter(|number| !found.contains_key(number)).map(|number| number.to_string()).collect();
        ensure!(missing.is_empty(), "of {of} shards these are missing: {}", missing.join(", "));
        let (_, mut whole) = whole.ok_or_else(|| anyhow::anyhow!("there is no shard to merge"))?;
        whole.about.shard = None;
        // Contexts of a shard that are not among those of the whole corpus may have named more.
        let named = whole.named();
        whole.pieces.retain(|id, _| named.contains(id));
        Ok(whole)
    }
}
