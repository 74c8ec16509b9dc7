//! `mixscope  demo · 6×8 experts top-2 · bf16 · policy hf · cpu      42 tok · 1240 tok/s · greedy · idle`

use crate::protocol::JobKind;
use crate::state::text::{fit, harmless, width};
use crate::state::{Phase, State};
use crate::trace::size;
use crate::ui::canvas::Canvas;
use crate::ui::widgets::sampling;
use ratatui::layout::Rect;

pub fn draw(c: &mut Canvas, area: Rect) {
    let state = c.state;
    let doing = doing(state);
    let Some(meta) = state.meta() else {
        let x = c.put(area, area.x, area.y, " mixscope ", c.theme.accent());
        c.put(area, x + 1, area.y, &doing, c.theme.dim());
        return;
    };
    let d = meta.dims;
    let right = [
        doing,
        format!("{} tok", state.tokens.len()),
        state.pace.per_second().map(rate).unwrap_or_default(),
        memory(state, area.width),
        sampling::in_words(state),
        match meta.recording {
            Some(_) => String::new(),
            None => {
                let kept = d.kv_bytes_per_token() + d.kept_bytes_per_token();
                format!("{} kept", size((kept * state.tokens.len()) as u64))
            }
        },
    ];
    let name = " mixscope ";
    let room = usize::from(area.width).saturating_sub(name.len() + 2);
    let policy = match (meta.edits.len(), state.edits.is_off) {
        (0, true) => format!("policy {}, edits off", meta.policy),
        (0, false) => format!("policy {}", meta.policy),
        (1, _) => format!("policy {}, 1 edit", meta.policy),
        (edits, _) => format!("policy {}, {edits} edits", meta.policy),
    };
    let sizes = format!("{}×{} experts top-{}", d.layers, d.experts, d.top_k);
    let more = match &meta.recording {
        Some(saved) => {
            let made_by = format!("made by {}", fit(&harmless(&saved.made_by), 40));
            ["saved run".to_owned(), policy, made_by, sizes]
        }
        None => [policy, meta.weights_dtype.clone(), sizes, meta.device.to_string()],
    };
    let title = harmless(&meta.title);
    // The right side changes, so it gets its room first, most important parts first. The size of the run is left out
    // first if the model needs the room.
    let model = width(brief(&title)) + more[..3].iter().map(|part| 3 + width(part)).sum::<usize>();
    let whole = join(&right, room * 3 / 5);
    let fewer = join(&right[..right.len() - 1], room * 3 / 5);
    let right = if width(&whole) + 1 + model <= room { whole } else { fewer };
    let room = room.saturating_sub(width(&right) + 1);
    let left = model_line(&title, &more, room);
    let x = c.put(area, area.x, area.y, name, c.theme.accent());
    c.put(area, x + 1, area.y, &left, c.theme.strong());
    c.put_right(area, area.y, &format!("{right} "), c.theme.dim());
}

/// A title without the remark in brackets after it.
fn brief(title: &str) -> &str {
    let remark = title.find(" (").filter(|at| *at > 0 && title.ends_with(')'));
    remark.map_or(title, |at| &title[..at])
}

/// The title and more parts about the model. A long title loses its remark first, then its end, but not all of it.
fn model_line(title: &str, more: &[String], room: usize) -> String {
    let needed = |parts: &[String]| parts.iter().map(|part| 3 + width(part)).sum::<usize>();
    let important = needed(&more[..more.len() - 1]);
    let fits = |title: &str, needed: usize| width(title) + needed <= room;
    let title = [title, brief(title)].into_iter().find(|title| fits(title, important)).unwrap_or(brief(title));
    let least = room.min(8);
    let title = fit(title, room.saturating_sub(needed(&more[..2])).max(least));
    join(&[&[title], more].concat(), room)
}

/// As many parts as fit, most important first; the first one is cut if necessary.
fn join(parts: &[String], room: usize) -> String {
    let mut out = String::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        let more = if out.is_empty() { fit(part, room) } else { format!(" · {part}") };
        if width(&out) + width(&more) > room {
            break;
        }
        out.push_str(&more);
    }
    out
}

fn doing(state: &State) -> String {
    let work = match (&state.phase, state.jobs.first()) {
        (Phase::Loading, _) => String::new(),
        (Phase::Failed(_), _) => "stopped".to_owned(),
        (_, Some(job)) => match job.progress {
            Some((done, total)) if total > 0 => format!("{} {} %", label(job.kind), 100 * done / total),
            _ => label(job.kind).to_owned(),
        },
        (_, None) => match &state.saving {
            Some(progress) => format!("writing {progress}").trim_end().to_owned(),
            None if state.derived.is_pending() => "deriving".to_owned(),
            None => "idle".to_owned(),
        },
    };
    match opening(state) {
        Some(opening) if work.is_empty() || work == "idle" => opening,
        Some(opening) => format!("{work}, {opening}"),
        None => work,
    }
}

/// The name of work on the run.
fn label(job: JobKind) -> &'static str {
    match job {
        JobKind::Prompt => "reading the prompt",
        JobKind::Step => "stepping",
        JobKind::Generation => "generating",
        JobKind::Force => "forcing",
        JobKind::StepBack => "stepping back",
        JobKind::Policy => "reading again",
        JobKind::Edits => "editing",
        JobKind::Branch => "going to the branch",
        JobKind::Lab => "precision lab",
        JobKind::Session => "reading the session",
        JobKind::Undo => "undoing",
        JobKind::Redo => "redoing",
    }
}

/// `opening 43 % owner/name`
fn opening(state: &State) -> Option<String> {
    let opening = state.opening.as_ref()?;
    let share = opening.download.as_ref().filter(|download| download.total > 0);
    let share = share.map(|download| {
        format!(" {} %", u128::from(download.done.min(download.total)) * 100 / u128::from(download.total))
    });
    Some(format!("opening{} {}", share.unwrap_or_default(), fit(&harmless(&opening.name), 24)))
}

/// `weights 71 % in memory · experts 3 hit 1 read`, or less on a narrow screen.
fn memory(state: &State, across: u16) -> String {
    let Some(memory) = &state.memory else { return String::new() };
    let share = format!("{:.0} % in memory", (memory.resident * 100.0).floor());
    if across < 140 {
        return share;
    }
    format!("weights {share} · experts {} hit {} read", memory.hits, memory.misses)
}

fn rate(per_second: f64) -> String {
    if per_second >= 100.0 { format!("{per_second:.0} tok/s") } else { format!("{per_second:.1} tok/s") }
}
