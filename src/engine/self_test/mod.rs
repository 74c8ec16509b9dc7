//! The self-test: does an opened model predict plain text, and does it compute what its family is?
//!
//! It needs no reference. The loss on a built-in text says whether this is a working language model; the same text in
//! one prefill, in chunks and token by token must give the same logits; every operation is compared with its
//! definition; and where the model predicts better with one thing changed, that thing is wrong.

mod agreement;
mod definition;
mod loss;
mod operation;
mod text;
mod trained;
mod verdict;

pub use agreement::Agreement;
pub use loss::RouterLoad;
pub use operation::Operation;
pub use text::{Text, Unreadable, texts};
pub use trained::TRAINED;

use crate::control::Control;
use crate::model::weights::Part;
use crate::model::{Loaded, Model, NoHooks, Precision, Variation};
use anyhow::{Context, Result};
use serde::Serialize;

/// What the self-test found.
#[derive(Clone, Debug, Serialize)]
pub struct SelfTest {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// The outcome in one sentence.
    pub verdict: String,
    /// What is wrong, the most conclusive finding first.
    pub failures: Vec<String>,
    /// What may be wrong.
    pub warnings: Vec<String>,
    /// Loss of each text.
    pub texts: Vec<TextLoss>,
    /// Whether the weights look trained; of random ones the loss says nothing.
    pub trained: bool,
    /// Spread of the row norms of embedding and unembedding; see [`TRAINED`].
    pub spread: [f64; 2],
    /// The prefill against other ways to read the text.
    pub agreement: Vec<Agreement>,
    /// The router by layer, over all texts.
    pub routers: Vec<RouterLoad>,
    /// Every operation against its definition.
    pub definition: Vec<Operation>,
    /// The loss with one thing changed; only for trained weights.
    pub otherwise: Vec<Otherwise>,
}

/// Loss on one text.
#[derive(Clone, Debug, Serialize)]
pub struct TextLoss {
    /// Its language.
    pub name: &'static str,
    /// Tokens read, BOS included.
    pub tokens: usize,
    /// Mean loss, nats a token.
    pub loss: f64,
    /// Nats a byte, which tokenizers don't change; `None` if the context is too short for the text.
    pub per_byte: Option<f64>,
}

/// Loss with one thing changed.
#[derive(Clone, Debug, Serialize)]
pub struct Otherwise {
    /// What was changed.
    pub with: String,
    /// Mean loss on the first text, nats a token.
    pub loss: f64,
    /// By how much the loss falls, nats a token: mean over the texts that were read again, and its standard error.
    pub falls: [f64; 2],
    #[serde(skip)]
    variation: Variation,
}

/// Runs the self-test on `texts` under the policy with which the model was opened. Progress is in token-layers.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) on cancellation, or if a pass fails.
pub fn self_test(loaded: &Loaded, texts: &[Text], control: &Control) -> Result<SelfTest> {
    let (model, meta) = (&loaded.model, &loaded.meta);
    let precision = Precision::new(meta.policy, meta.compute_dtype);
    let first = texts.first().context("the self-test has no text")?;
    let spread = spreads(loaded)?;
    let trained = spread.iter().any(|spread| *spread > TRAINED);
    let variations = if trained { variations(model, first.ids.len()) } else { Vec::new() };
    let mut ways = agreement::ways();
    let again = agreement::tokens(meta.touched_bytes, texts);
    // A variation is tried on all texts only where passes are cheap.
    let tried = if again.contains(&0) { &texts[..1] } else { texts };
    let tokens = |texts: &[Text]| texts.iter().map(|text| text.ids.len()).sum::<usize>();
    let read = tokens(texts) + ways.len() * again.iter().sum::<usize>() + first.ids.len();
    let all = (read + variations.len() * tokens(tried)) * meta.dims.layers;
    let mut steps = Steps { control, layers: meta.dims.layers, done: 0, all };

    let (mut losses, mut routers, mut by_token) = (Vec::new(), Vec::new(), Vec::new());
    for (text, again) in texts.iter().zip(&again) {
        let logits = loss::read(model, &text.ids, precision, meta.router_dtype(), &mut routers, &mut steps)?;
        by_token.push(loss::token_losses(&logits, &text.ids));
        let loss = by_token.last().map_or(f64::NAN, |losses| loss::mean(losses));
        let is_whole = text.ids.len() < meta.dims.context;
        let per_byte = is_whole.then(|| loss * (text.ids.len() - 1) as f64 / text.bytes as f64);
        losses.push(TextLoss { name: text.name, tokens: text.ids.len(), loss, per_byte });
        for (size, found) in &mut ways {
            found.tokens[0] += again;
            found.tokens[1] += text.ids.len();
            agreement::compare(
                model,
                (text.name, &text.ids[..*again]),
                &logits,
                precision,
                (*size, found),
                &mut steps,
            )?;
        }
    }
    routers.iter_mut().for_each(|router| router.settle(meta.dims.top_k));
    let definition = definition::check(loaded, &first.ids, precision, &mut steps)?;
    let mut otherwise = Vec::new();
    for variation in variations {
        let varied = model.varied(variation);
        let (mut first, mut falls) = (f64::NAN, Vec::new());
        for (i, (text, before)) in tried.iter().zip(&by_token).enumerate() {
            let (mut cache, control) = (varied.new_cache(), steps.pass(text.ids.len()));
            let logits = varied.forward(&text.ids, &mut cache, precision, &mut NoHooks, &control)?;
            let after = loss::token_losses(&logits, &text.ids);
            falls.extend(before.iter().zip(&after).map(|(before, after)| before - after));
            if i == 0 {
                first = loss::mean(&after);
            }
        }
        let falls = [loss::mean(&falls), loss::standard_error(&falls)];
        otherwise.push(Otherwise { with: variation.to_string(), loss: first, falls, variation });
    }
    let agreement = ways.into_iter().map(|(_, found)| found).collect();
    let mut found = SelfTest {
        ok: false,
        verdict: String::new(),
        failures: Vec::new(),
        warnings: Vec::new(),
        texts: losses,
        trained,
        spread,
        agreement,
        routers,
        definition,
        otherwise,
    };
    found.failures = verdict::failures(&found, meta);
    found.ok = found.failures.is_empty();
    found.warnings = verdict::warnings(&found, meta);
    found.verdict = verdict::sentence(&found, loaded.config.family);
    Ok(found)
}

fn spreads(loaded: &Loaded) -> Result<[f64; 2]> {
    let of = |part: Part| Ok::<_, anyhow::Error>(trained::spread(&loaded.store.matrix(part, &loaded.config.arch)?));
    let embed = of(Part::Embed)?;
    Ok([embed, if loaded.config.arch.tied { embed } else { of(Part::Unembed)? }])
}

/// The changes to try on texts of `tokens` tokens: what files and ports are known to get wrong.
fn variations(model: &Model, tokens: usize) -> Vec<Variation> {
    let arch = model.arch();
    let bases = [1e4, 1e5, 5e5, 1e6].into_iter().filter(|base| *base != arch.rope.base).map(Variation::RopeBase);
    let window = arch.dims.window.filter(|window| *window < tokens).map(|_| Variation::Window(None));
    let own = [
        (arch.attn.sinks, Variation::NoSinks),
        (arch.attn.qk_norm.is_some(), Variation::NoQkNorm),
        (arch.rope.yarn.is_some(), Variation::NoYarn),
        (arch.dims.d_shared > 0, Variation::NoSharedExpert),
    ];
    let own = own.into_iter().filter(|(has, _)| *has).map(|(_, variation)| variation);
    let eps = [1e-5, 1e-6].into_iter().filter(|eps| *eps != arch.eps).map(Variation::NormEps);
    let weights = match arch.moe.renormalise {
        true if arch.dims.top_k > 1 => Some(Variation::NoRenormalisation),
        true => None,
        false => Some(Variation::Renormalisation),
    };
    let others = [Variation::SwappedGateUp, Variation::PermutedHeads].into_iter().chain(weights).chain(own);
    let head = (!arch.tied).then_some(Variation::TiedHead);
    bases.chain(window).chain(eps).chain(others).chain(head).collect()
}

/// The progress of the self-test, in token-layers.
pub struct Steps<'a> {
    control: &'a Control<'a>,
    layers: usize,
    done: usize,
    all: usize,
}

impl<'a> Steps<'a> {
    /// The control of the next pass, which reads this many tokens.
    fn pass(&mut self, tokens: usize) -> Control<'a> {
        let control = self.control.part(self.done, self.all);
        self.done += tokens * self.layers;
        control
    }
}
