//! What a picture says about itself: caption, program, and how to make it again.

use std::fmt::Write;

/// The metadata of a picture. The same picture always has the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// What it shows.
    pub title: String,
    /// Title, run and notes as a caption.
    pub caption: String,
    /// How to make it again, as names and values: model, prompt, command.
    pub recipe: Vec<(&'static str, String)>,
}

/// The program and its version.
pub const SOFTWARE: &str = concat!("mixscope ", env!("CARGO_PKG_VERSION"));

impl About {
    /// All of it by the keywords of PNG.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let first = [("Title", self.title.clone()), ("Description", self.caption.clone())];
        let all = first.into_iter().chain([("Software", SOFTWARE.to_owned())]).chain(self.recipe.iter().cloned());
        all.filter(|(_, text)| !text.is_empty()).collect()
    }

    /// The recipe in lines `name: value`.
    pub fn lines(&self) -> String {
        self.recipe.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("\n")
    }

    /// As RDF, which SVG and XMP share.
    pub fn rdf(&self) -> String {
        let mut out = String::from(
            "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\" \
             xmlns:dc=\"http://purl.org/dc/elements/1.1/\" xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\" \
             xmlns:mixscope=\"urn:mixscope:picture\">\n<rdf:Description rdf:about=\"\">\n",
        );
        for (name, text) in [("title", &self.title), ("description", &self.caption)] {
            if !text.is_empty() {
                let text = escape(text);
                // Writing to a String can't fail.
                let _ = writeln!(
                    out,
                    "<dc:{name}><rdf:Alt><rdf:li xml:lang=\"x-default\">{text}</rdf:li></rdf:Alt></dc:{name}>"
                );
            }
        }
        let _ = writeln!(out, "<xmp:CreatorTool>{SOFTWARE}</xmp:CreatorTool>");
        for (name, text) in &self.recipe {
            let name = name.to_ascii_lowercase().replace(' ', "-");
            let _ = writeln!(out, "<mixscope:{name}>{}</mixscope:{name}>", escape(text));
        }
        out + "</rdf:Description>\n</rdf:RDF>\n"
    }
}

/// A text as the content of an XML element or attribute. What XML 1.0 can't hold becomes U+FFFD.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
