//! Draws the explorer's screen as a picture: `cargo run --release --example screen_picture -- OUT.png [PROMPT [KEYS [WxH]]]`.
//! The name's ending chooses PNG, SVG, or text with ANSI colours (`.ans`). The README's pictures are made with it.

use anyhow::{Context, Result, bail};
use mixscope::app::{Still, cells};
use mixscope::export::{Look, screen_ansi, screen_png, screen_svg};
use mixscope::model::{Location, open};
use mixscope::trace::Policy;
use mixscope::ui::Depth;
use std::path::Path;
use std::sync::Arc;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let out = args.next().context("usage: screen_picture OUT.png [PROMPT [KEYS [WxH]]]")?;
    let prompt = args.next().unwrap_or_else(|| "drum apple seven blue owl key | drum apple seven".to_owned());
    let keys = args.next().unwrap_or_default();
    let size = args.next().unwrap_or_else(|| "160x45".to_owned());
    let (width, height) = size.split_once('x').context("the size is WxH, e.g. 160x45")?;

    let loaded = open(&Location::Demo, Policy::Hf, None, false)?;
    let mut still = Still::new(Arc::new(loaded), Some(&prompt));
    still.press(&keys)?;
    let screen = cells(&still.screen(width.parse()?, height.parse()?, Depth::True));
    let look = Look { dark: true, ..Look::default() };
    let bytes = match Path::new(&out).extension().and_then(|ending| ending.to_str()) {
        Some("png") => screen_png(&screen, &look)?,
        Some("svg") => screen_svg(&screen, &look)?,
        Some("ans") => screen_ansi(&screen),
        _ => bail!("{out} ends neither in .png, .svg nor .ans"),
    };
    std::fs::write(&out, bytes).with_context(|| format!("cannot write {out}"))
}
