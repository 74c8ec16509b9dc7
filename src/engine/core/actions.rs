//! How requests change the run.

use super::Core;
use super::generation::Generation;
use super::history::History;
use super::request::Request;
use crate::control::{Control, Stopped};
use crate::engine::compare::{lab, lab_policies};
use crate::engine::experiments::{Baseline, Target, compare};
use crate::engine::run::{Live, OnTokens, Run};
use crate::model::{Edits, sampling};
use crate::protocol::{Ask, EditsFound, Event, Outcome};
use crate::trace::{Direction, Edit, Policy, Prompt, Source, TokenRecord};
use anyhow::{Context, Result, bail, ensure};
use std::sync::Arc;
use std::time::Instant;

impl Core {
    /// Carries out a request about the run.
    pub(super) fn carry_out(&mut self, request: Request, ask: Ask) -> Result<()> {
        if request.interrupts.is_cancelled(request.id) {
            return Err(Stopped.into());
        }
        if let Run::Live(live) = &self.run {
            self.history.begin(&ask, &self.prompt, live);
        }
        match ask {
            Ask::Prompt(prompt) => {
                let live = self.run.need_live()?;
                let ids = live.prompt_ids(&prompt)?;
                let is_text = !matches!(prompt, Prompt::Ids(_));
                if let Some(warning) = live.loaded().prompt_warning(&ids).filter(|_| is_text) {
                    request.emit(Event::Warning(warning));
                }
                self.prompt = Some(prompt);
                self.read(&request, |live, control, arrived| live.set_prompt(&ids, control, arrived))?;
            }
            Ask::Step { count, sampling } => {
                self.run.need_live()?;
                sampling::check(&sampling)?;
                self.sampling = Some(sampling);
                // The generation reports its own end.
                self.generation = Some(Generation { id: request.id, left: count, sampling });
                return Ok(());
            }
            Ask::ForceToken(token) => self.force(&request, &[token])?,
            Ask::Branch { len, token } => {
                self.truncate(&request, len)?;
                self.force(&request, &[token])?;
            }
            Ask::ForceText(text) => {
                let ids = self.run.need_live()?.tokenize_on(&text)?;
                self.force(&request, &ids)?;
            }
            Ask::Back => self.truncate(&request, self.run.tokens().len().saturating_sub(1))?,
            Ask::Truncate { len } => self.truncate(&request, len)?,
            Ask::Policy(policy) => self.switch(&request, policy)?,
            Ask::Edits { edits, at } => self.edit(&request, edits, at)?,
            Ask::Restore { prompt, tokens, branches, edits } => {
                self.history = History::default();
                self.restore(&request, &tokens, edits)?;
                self.prompt = prompt;
                self.history = History::of(branches);
            }
            Ask::GoTo { prompt, tokens, policy, edits } => self.go_to(&request, prompt, &tokens, policy, edits)?,
            Ask::Undo => self.revise(&request, Direction::Back)?,
            Ask::Redo => self.revise(&request, Direction::Forward)?,
            Ask::Lab { steps } => self.lab(&request, steps)?,
            Ask::Derive(_) => bail!("derived values have a queue of their own"),
            Ask::Open(name) => bail!("{name} can only be opened by the engine's thread"),
        }
        request.finish(Outcome::Done);
        Ok(())
    }

    /// Reads the run again under another policy; if that is stopped or fails, the run stays as it was.
    fn switch(&mut self, request: &Request, policy: Policy) -> Result<()> {
        let live = self.run.need_live_mut()?;
        policy.check_on(live.meta().device)?;
        let started = Instant::now();
        let mut next = live.under(policy);
        let read = request.control(|control| next.extend_from(&live.ids_and_sources(), control, &mut |_, _| {}));
        let left = if read.is_ok() { Some(std::mem::replace(live, next)) } else { None };
        self.paging.skip(&self.run);
        read?;
        if let Some(left) = left {
            self.derivations.keep_variant(left, request.emit);
        }
        request.emit(Event::Switched(self.run.meta().clone()));
        request.emit_tokens(0, self.run.tokens(), started.elapsed().as_secs_f64() * 1e3);
        Ok(())
    }

    /// Reads the run again under other edits, as far as they change it; if that is stopped or fails, the run stays as it was.
    fn edit(&mut self, request: &Request, edits: Vec<Edit>, at: usize) -> Result<()> {
        let live = self.run.need_live_mut()?;
        let started = Instant::now();
        let next = match self.derivations.variant_like(live, &edits) {
            Some(kept) => Ok(kept),
            None => Edits::new(edits, live.meta().dims)
                .and_then(|edits| request.control(|control| live.edited(Some(&edits), control))),
        };
        let left = match next {
            Ok(next) => Ok(std::mem::replace(live, next)),
            Err(error) => Err(error),
        };
        self.paging.skip(&self.run);
        let left = left?;
        let now = self.run.need_live()?.clone();
        let keep = now.shared_with(&left);
        request.emit(Event::Switched(now.meta().clone()));
        request.emit_tokens(keep, &now.tokens()[keep..], started.elapsed().as_secs_f64() * 1e3);
        if now.tokens().is_empty() || now.meta().edits.is_empty() {
            self.derivations.keep_variant(left, request.emit);
            return Ok(());
        }
        // The baseline is the run without edits, whatever was on screen before.
        let measured: Result<(EditsFound, Live)> = request.control(|control| {
            let plain = if left.meta().edits.is_empty() { left.clone() } else { now.edited(None, control)? };
            Ok((found(&plain, &now, at, &control.quiet())?, plain))
        });
        match measured {
            Ok((found, plain)) => {
                request.emit(Event::Edited(Box::new(found)));
                self.derivations.keep_variant(plain, request.emit);
                Ok(())
            }
            // The run is edited already; only the line about it is missing.
            Err(error) => {
                self.derivations.keep_variant(left, request.emit);
                if error.is::<Stopped>() { Ok(()) } else { Err(error) }
            }
        }
    }

    /// Reads the run's tokens under every policy that differs from `hf`.
    fn lab(&self, request: &Request, steps: usize) -> Result<()> {
        let live = self.run.need_live()?;
        let ids: Vec<u32> = live.tokens().iter().map(|token| token.id).collect();
        let (policies, _) = lab_policies(live.meta(), Policy::Hf);
        let prompt = live.prompt().count();
        let edits = live.edits().map(|of| (of.edits(), prompt));
        let found =
            request.control(|control| lab(live.loaded(), &ids, steps, Policy::Hf, &policies, edits, control))?;
        request.emit(Event::Lab(Arc::new(found)));
        Ok(())
    }

    /// Makes `tokens` the run. What was read before an error or a stop stays.
    fn restore(&mut self, request: &Request, tokens: &[(u32, Source)], edits: Vec<Edit>) -> Result<()> {
        let ids = tokens.iter().map(|(id, _)| *id).collect();
        let live = self.run.need_live_mut()?;
        live.prompt_ids(&Prompt::Ids(ids)).context("the session does not fit this model")?;
        live.truncate(0);
        request.emit_tokens(0, &[], 0.0);
        let is_current = live.edits().is_none_or(|of| of.edits().are_current());
        if *live.meta().edits != edits[..] || !is_current {
            let found =
                Edits::new(edits, live.meta().dims).and_then(|edits| live.edited(Some(&edits), &Control::none()));
            match found {
                Ok(edited) => *live = edited,
                // The tokens are worth more than the edits.
                Err(error) => request.emit(Event::Warning(format!("the edits of the session are left out: {error:#}"))),
            }
            request.emit(Event::Switched(live.meta().clone()));
        }
        self.read(request, |live, control, arrived| live.extend_from(tokens, control, arrived))
    }

    /// Forgets tokens from `len` on; the first one stays.
    fn truncate(&mut self, request: &Request, len: usize) -> Result<()> {
        let live = self.run.need_live_mut()?;
        let all = live.tokens().len();
        let len = len.clamp(all.min(1), all);
        let mut next = live.clone();
        next.truncate(len);
        // Inside the prompt, edits may mean something else.
        request.control(|control| next.refit(control))?;
        let keep = next.shared_with(live);
        *live = next;
        request.emit_tokens(keep, &live.tokens()[keep..], 0.0);
        Ok(())
    }

    fn force(&mut self, request: &Request, ids: &[u32]) -> Result<()> {
        let live = self.run.need_live()?;
        ensure!(!live.tokens().is_empty(), "there is no prompt yet: type one first");
        live.check_context(live.tokens().len() + ids.len(), "with this the run has")?;
        self.read(request, |live, control, arrived| live.extend_reporting(ids, Source::Forced, control, arrived))
    }

    /// Lets `work` change the run, and reports its tokens as they arrive.
    fn read(
        &mut self,
        request: &Request,
        work: impl FnOnce(&mut Live, &Control, OnTokens) -> Result<()>,
    ) -> Result<()> {
        let live = self.run.need_live_mut()?;
        let mut since = Instant::now();
        let mut arrived = |keep: usize, tokens: &[Arc<TokenRecord>]| {
            request.emit_tokens(keep, tokens, since.elapsed().as_secs_f64() * 1e3);
            since = Instant::now();
        };
        let result = request.control(|control| work(live, control, &mut arrived));
        self.report_memory(request);
        result
    }

    /// Reports where the weights are after a pass.
    pub(super) fn report_memory(&mut self, request: &Request) {
        if let Some(memory) = self.paging.after_pass(&self.run) {
            request.emit(Event::Memory(memory));
        }
    }
}

/// What edits do: the run `b` under them, compared with `a` without, with the next token at `at`.
fn found(a: &Live, b: &Live, at: usize, control: &Control) -> Result<EditsFound> {
    let position = at.min(a.tokens().len().saturating_sub(1));
    let best = |run: &Live, pos: usize| run.tokens()[pos].next.top.first().cloned();
    let token = best(a, position).map_or(0, |best| best.id);
    let found = compare(&mut Baseline::new(a), b, Target { position, token, foil: None }, false, control)?;
    let differs = |pos: &usize| best(a, *pos).zip(best(b, *pos)).is_some_and(|(a, b)| a.id != b.id);
    let first = (0..a.tokens().len()).find(differs);
    let both = |pos: usize| best(a, pos).zip(best(b, pos)).map(|(a, b)| (pos, [a.piece, b.piece]));
    Ok(EditsFound {
        notes: b.records().edit_notes(),
        loss_change: found.measures.loss_change,
        kl: (position, found.positions[position].kl),
        flips: found.measures.flips,
        first: first.and_then(both),
    })
}
