//! What frames and keys cost as a run grows: `cargo run --release --example long_run -- MODEL [LENGTHS]`.
//! The model needs a long context; `make_model --d-model 128 --d-ff 256 --heads 8 --kv-heads 2 --layers 6
//! --context 8192` makes a small one.

use anyhow::{Context, Result};
use mixscope::app::Still;
use mixscope::control::Control;
use mixscope::engine::{OpenOptions, open_model};
use mixscope::state::input::{Code, Key};
use mixscope::state::{Event, update};
use mixscope::trace::Prompt;
use mixscope::trace::{Device, Policy};
use mixscope::ui::{Depth, Theme, draw};
use ratatui::layout::Rect;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Frames of which the median is told.
const FRAMES: usize = 41;
const SIZE: Rect = Rect::new(0, 0, 160, 45);

/// A view, and the keys that lead to it from the first one.
const VIEWS: [(&str, &str); 13] = [
    ("routing.token", "1"),
    ("routing.layer", "1 v"),
    ("routing.map", "1 v v"),
    ("routing.load", "1 v v v"),
    ("routing.pairs", "1 v v v v"),
    ("attention.grid", "2"),
    ("attention.head", "2 v"),
    ("lens", "3"),
    ("lens.plot", "3 v v v"),
    ("next", "4"),
    ("fidelity", "5"),
    ("fidelity.flips", "P end enter 5 v"),
    ("fidelity.loss", "P end enter 5 v v"),
];

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let model = args.next().context("usage: long_run MODEL [LENGTHS], e.g. /tmp/long 64,512,4000")?;
    let lengths = args.next().unwrap_or_else(|| "64,512,4000".to_owned());
    let lengths: Vec<usize> = lengths.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let options = OpenOptions { policy: Policy::Hf, dtype: None, ids_only: true, device: Device::Cpu };
    let loaded = Arc::new(open_model(&model, options, &Control::none(), &mut |_| {})?);
    let vocab = loaded.meta.dims.vocab;

    println!("| view | tokens | draw ms | key to frame ms |\n|---|---|---|---|");
    for length in lengths {
        // A walk through the vocabulary: repetitions, but no period.
        let ids: Vec<u32> = (0..length).map(|i| (3 + (i * i / 3 + 7 * i) % (vocab - 3).min(900)) as u32).collect();
        let loaded = loaded.clone();
        for (name, keys) in VIEWS {
            let mut still = Still::with(loaded.clone(), Prompt::Ids(ids.clone()));
            still.press(keys)?;
            still.screen(SIZE.width, SIZE.height, Depth::True);
            let (drawn, answered) = measure(&mut still);
            println!("| {name} | {length} | {:.2} | {:.2} |", ms(drawn), ms(answered));
        }
    }
    Ok(())
}

/// Medians of a frame, and of a cursor key with the frame that follows it.
fn measure(still: &mut Still) -> (Duration, Duration) {
    let theme = Theme::new(Depth::True);
    let frame = |still: &Still| drop(std::hint::black_box(draw(&still.state, &theme, SIZE)));
    let drawn = median(|| frame(still));
    let mut left = true;
    let answered = median(|| {
        let code = if left { Code::Left } else { Code::Right };
        left = !left;
        update(&mut still.state, Event::Key(Key::of(code)));
        frame(still);
    });
    (drawn, answered)
}

fn median(mut work: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..FRAMES)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[FRAMES / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
