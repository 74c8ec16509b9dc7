//! Going to another run: a branch that the screen remembers by its tokens.

use super::Core;
use super::request::Request;
use crate::control::Control;
use crate::engine::run::Live;
use crate::model::Edits;
use crate::protocol::Event;
use crate::trace::{Edit, Policy, Prompt, Source, Variant};
use anyhow::{Context, Result, ensure};
use std::time::Instant;

impl Core {
    /// Makes `tokens` the run, under this policy and these edits. If that is stopped or fails, the run stays as it was.
    ///
    /// # Errors
    /// If the run is a replay, the tokens or edits don't fit the model, or reading them failed or was stopped.
    pub(super) fn go_to(
        &mut self,
        request: &Request,
        prompt: Option<Prompt>,
        tokens: &[(u32, Source)],
        policy: Policy,
        edits: Vec<Edit>,
    ) -> Result<()> {
        let live = self.run.need_live()?;
        let misfit = "the branch can't be read";
        ensure!(!tokens.is_empty(), "{misfit}: it has no token");
        policy.check_on(live.meta().device).context(misfit)?;
        live.check_context(tokens.len(), "the branch has")?;
        live.prompt_ids(&Prompt::Ids(tokens.iter().map(|(id, _)| *id).collect())).context(misfit)?;
        let edits = Edits::new(edits, live.meta().dims).context(misfit)?;
        let started = Instant::now();
        let kept = self.history.whole().chain(self.derivations.runs());
        let base = nearest(live, kept, tokens, policy, &edits);
        let next = request.control(|control| read(base, tokens, policy, &edits, control));
        self.paging.skip(&self.run);
        let next = next?;
        let left = std::mem::replace(self.run.need_live_mut()?, next.clone());
        self.prompt = prompt;
        if Variant::of(left.meta()) != Variant::of(next.meta()) {
            self.derivations.keep_variant(left.clone(), request.emit);
            request.emit(Event::Switched(next.meta().clone()));
        }
        let keep = next.shared_with(&left);
        request.emit_tokens(keep, &next.tokens()[keep..], started.elapsed().as_secs_f64() * 1e3);
        Ok(())
    }
}

/// The run that most can be taken from: of those that are computed as the branch is, the one that begins with most of its
/// tokens; the first of equals. If there is none, the current run.
fn nearest<'a>(
    live: &'a Live,
    kept: impl Iterator<Item = &'a Live>,
    tokens: &[(u32, Source)],
    policy: Policy,
    edits: &Edits,
) -> &'a Live {
    let is_alike = |run: &&Live| run.meta().policy == policy && run.meta().edits.iter().eq(edits.list());
    let same = |run: &Live| run.tokens().iter().zip(tokens).take_while(|(token, (id, _))| token.id == *id).count();
    let all = std::iter::once(live).chain(kept.filter(|run| run.is_of_the_model_of(live)));
    let best = all.filter(is_alike).map(|run| (same(run), run)).reduce(|a, b| if b.0 > a.0 { b } else { a });
    best.map_or(live, |(_, run)| run)
}

/// Reads a branch, with what it shares with `base`.
fn read(base: &Live, tokens: &[(u32, Source)], policy: Policy, edits: &Edits, control: &Control) -> Result<Live> {
    let mut run = base.clone();
    if run.meta().policy != policy {
        run.switch(policy);
    }
    // A file may have changed since the edits read it.
    let reads_files = edits.list().any(|edit| edit.source().is_some());
    if reads_files || !run.meta().edits.iter().eq(edits.list()) {
        // What comes after the shared tokens need not be read under the edits.
        let same = run.tokens().iter().zip(tokens).take_while(|(token, (id, _))| token.id == *id).count();
        run.truncate(same);
        run = run.edited(Some(edits), control)?;
    }
    run.become_run(tokens, control)?;
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Stopped;
    use crate::engine::run::Capture;
    use crate::model::{Location, open};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_stop_leaves_what_the_branch_is_read_from() {
        let loaded = Arc::new(open(&Location::Demo, Policy::Hf, None, false).unwrap());
        let dims = loaded.meta.dims;
        let mut live = Live::new(loaded, Capture::for_views(dims.layers), 4);
        live.set_prompt(&[1, 300, 301], &Control::none(), &mut |_, _| {}).unwrap();
        let before = live.clone();
        let tokens: Vec<(u32, Source)> = [1, 300, 302, 303].map(|id| (id, Source::Prompt)).to_vec();
        let banned = Edits::new(vec!["ban L3.E5".parse().unwrap()], dims).unwrap();
        let none = Edits::new(Vec::new(), dims).unwrap();
        for (policy, edits) in [(Policy::Hf, &none), (Policy::Hf, &banned), (Policy::F32, &none)] {
            let checks = AtomicUsize::new(0);
            let cancelled = || checks.fetch_add(1, Ordering::Relaxed) >= 3;
            let error = read(&live, &tokens, policy, edits, &Control::cancelled_by(&cancelled)).err().unwrap();
            assert!(error.is::<Stopped>(), "{error:?}");
            assert!(live.is_same_as(&before));
            assert_eq!(read(&live, &tokens, policy, edits, &Control::none()).unwrap().tokens().len(), 4);
        }
    }
}
