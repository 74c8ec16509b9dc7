//! What a token costs, and the memory that it takes, as a run grows:
//! `cargo run --release --example growth -- MODEL TOKENS OUT.png`. `make_model --d-model 128 --d-ff 256 --heads 8 --kv-heads 2
//! --layers 6 --context 8192` makes a small model with a long context.

use anyhow::{Context, Result, ensure};
use mixscope::app::cells;
use mixscope::control::Control;
use mixscope::engine::{Capture, Live, OpenOptions, open_model};
use mixscope::export::{Look, screen_png};
use mixscope::trace::{Device, Policy, Sampling, Source};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Stylize;
use ratatui::symbols::Marker;
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, Widget};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Steps of which the median is drawn.
const WINDOW: usize = 25;

/// One window: tokens read, median ms of a step, anonymous memory in MB.
type Point = (f64, f64, f64);

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: growth MODEL TOKENS OUT.png";
    let model = args.next().context(usage)?;
    let tokens: usize = args.next().context(usage)?.parse().context(usage)?;
    let out = PathBuf::from(args.next().context(usage)?);
    let options = OpenOptions { policy: Policy::Hf, dtype: None, ids_only: true, device: Device::Cpu };
    let loaded = Arc::new(open_model(&model, options, &Control::none(), &mut |_| {})?);
    let dims = loaded.meta.dims;
    ensure!(tokens <= dims.context, "the context of {model} ends at {}", dims.context);
    let mut session = Live::new(loaded, Capture::for_views(dims.layers), 64);
    let sampling = Sampling { temperature: 1.0, seed: 1, ..Sampling::default() };
    session.extend(&[1], Source::Prompt, &Control::none())?;

    let (mut points, mut times): (Vec<Point>, Vec<f64>) = (Vec::new(), Vec::new());
    while session.tokens().len() < tokens {
        let started = Instant::now();
        session.step(&sampling, &Control::none())?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        if times.len() == WINDOW {
            times.sort_by(f64::total_cmp);
            points.push((session.tokens().len() as f64, times[WINDOW / 2], anonymous()?));
            times.clear();
        }
    }
    println!("| tokens | ms/token | anonymous MB |\n|---|---|---|");
    for (read, ms, megabytes) in points.iter().step_by(points.len().div_ceil(12).max(1)).chain(points.last()) {
        println!("| {read} | {ms:.2} | {megabytes:.1} |");
    }
    if let [first, .., last] = &points[..] {
        println!("{:.1} KB a token", (last.2 - first.2) * 1e3 / (last.0 - first.0));
    }
    draw(&points, &out).with_context(|| format!("cannot draw {}", out.display()))
}

/// Memory of this process that is no mapped file, MB.
fn anonymous() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("memory is only known on Linux")?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).context("no RssAnon")?;
    let kilobytes = line.split_whitespace().nth(1).context("no RssAnon")?;
    Ok(kilobytes.parse::<f64>()? / 1e3)
}

fn draw(points: &[Point], out: &std::path::Path) -> Result<()> {
    let size = Rect::new(0, 0, 110, 36);
    let mut buf = Buffer::empty(size);
    let halves: [Rect; 2] = Layout::vertical([Constraint::Fill(1); 2]).areas(size);
    for (area, what, of) in [
        (halves[0], " ms/token, medians of 25 ", (|p| p.1) as fn(&Point) -> f64),
        (halves[1], " anonymous memory, MB ", |p| p.2),
    ] {
        let line: Vec<(f64, f64)> = points.iter().map(|p| (p.0, of(p))).collect();
        let end = line.last().map_or(1.0, |point| point.0);
        let top = line.iter().map(|point| point.1).fold(0.0, f64::max) * 1.1;
        let axis = |to: f64, digits: usize| {
            let labels: Vec<String> = [0.0, to / 2.0, to].iter().map(|x| format!("{x:.digits$}")).collect();
            Axis::default().bounds([0.0, to]).labels(labels)
        };
        let set = Dataset::default().graph_type(GraphType::Line).marker(Marker::Braille).cyan().data(&line);
        Chart::new(vec![set])
            .block(Block::bordered().title(what))
            .x_axis(axis(end, 0).title("tokens read"))
            .y_axis(axis(top, if top < 20.0 { 2 } else { 0 }))
            .render(area, &mut buf);
    }
    let picture = screen_png(&cells(&buf), &Look { dark: true, ..Look::default() })?;
    std::fs::write(out, picture)?;
    Ok(())
}
