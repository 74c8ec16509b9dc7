//! The addresses of the Hub and of its cache, from environment variables.

use anyhow::{Context, Result, ensure};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::Uri;

/// How the Hub is reached.
#[derive(Clone)]
pub struct Settings {
    /// Address without a slash at the end.
    pub endpoint: String,
    /// Sent to the endpoint only.
    pub token: Option<String>,
    /// The folder of `models--owner--name` folders.
    pub cache: PathBuf,
    /// Whether the network is not used.
    pub offline: bool,
    /// A connection without data for this long is cut.
    pub stall: Duration,
    /// How often a request that brought no data is retried.
    pub retries: u32,
}

impl Settings {
    /// Reads the variables of `huggingface_hub`: `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HOME`, `HF_HUB_CACHE`,
    /// `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE`, `HF_HUB_DOWNLOAD_TIMEOUT`, and `XDG_CACHE_HOME`.
    ///
    /// # Errors
    /// If a value is invalid, or no variable says where the cache is.
    pub fn from_env() -> Result<Self> {
        Self::from_lookup(&|name| std::env::var_os(name))
    }

    fn from_lookup(lookup: &dyn Fn(&str) -> Option<OsString>) -> Result<Self> {
        let get = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let text = |name: &str| match get(name) {
            Some(value) => {
                let value = value.into_string().ok().with_context(|| format!("{name} is not valid UTF-8"))?;
                Ok::<_, anyhow::Error>(Some(value.trim().to_owned()).filter(|value| !value.is_empty()))
            }
            None => Ok(None),
        };
        let path = |name: &str| get(name).map(|value| expand(PathBuf::from(value), get("HOME")));
        let home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| path("HOME").map(|home| home.join(".cache/huggingface")));
        let below = |name: &str| home.as_ref().map(|home| home.join(name));
        let cache = path("HF_HUB_CACHE").or_else(|| below("hub")).context("neither HF_HUB_CACHE nor HOME is set")?;
        let token = match text("HF_TOKEN")? {
            Some(token) => Some(token),
            None => path("HF_TOKEN_PATH").or_else(|| below("token")).and_then(|path| read_token(&path)),
        };
        let plain = token.as_ref().is_none_or(|token| token.bytes().all(|b| b.is_ascii_graphic()));
        ensure!(plain, "the token (HF_TOKEN or its file) holds characters that no token has");
        let endpoint = text("HF_ENDPOINT")?.unwrap_or_else(|| "https://huggingface.co".to_owned());
        let is_on = |name: &str| {
            let on = ["1", "true", "yes", "on"];
            Ok::<_, anyhow::Error>(text(name)?.is_some_and(|value| on.contains(&value.to_lowercase().as_str())))
        };
        let offline = is_on("HF_HUB_OFFLINE")? || is_on("TRANSFORMERS_OFFLINE")?;
        let stall = text("HF_HUB_DOWNLOAD_TIMEOUT")?.map_or(Ok(Duration::from_secs(30)), |value| seconds(&value))?;
        Ok(Self { endpoint: check_endpoint(&endpoint)?, token, cache, offline, stall, retries: 5 })
    }
}

/// Replaces `~/` at the start by the home folder.
fn expand(path: PathBuf, home: Option<OsString>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path,
    }
}

fn read_token(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|token| !token.is_empty())
}

fn check_endpoint(text: &str) -> Result<String> {
    let text = text.trim_end_matches('/');
    // Messages show the endpoint, and must not show a password.
    ensure!(!text.contains('@'), "HF_ENDPOINT holds a name or password; put a token into HF_TOKEN instead");
    let uri: Option<Uri> = text.parse().ok();
    let fits = uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    ensure!(
        fits && !text.contains(['?', '#']),
        "HF_ENDPOINT is {text:?}; expected an address such as https://huggingface.co"
    );
    Ok(text.to_owned())
}

fn seconds(text: &str) -> Result<Duration> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds > 0.0);
    let stall = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    stall.with_context(|| format!("HF_HUB_DOWNLOAD_TIMEOUT is {text:?}; expected a number of seconds above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Settings> {
        let find = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        Settings::from_lookup(&find)
    }

    #[test]
    fn defaults() {
        let settings = read(&[("HOME", "/nowhere")]).unwrap();
        assert_eq!(settings.endpoint, "https://huggingface.co");
        assert_eq!(settings.cache, Path::new("/nowhere/.cache/huggingface/hub"));
        assert_eq!(
            (settings.token, settings.offline, settings.stall.as_secs(), settings.retries),
            (None, false, 30, 5)
        );
        assert!(read(&[]).is_err());
    }

    #[test]
    fn cache_is_found_by_the_first_variable_set() {
        let mut set = vec![("HOME", "/h")];
        let mut cache = |name, value| {
            set.push((name, value));
            read(&set).unwrap().cache.display().to_string()
        };
        assert_eq!(cache("XDG_CACHE_HOME", "/x"), "/x/huggingface/hub");
        assert_eq!(cache("HF_HOME", "~/f"), "/h/f/hub");
        assert_eq!(cache("HF_HUB_CACHE", "/c"), "/c");
    }

    #[test]
    fn token_comes_from_the_variable_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "hf_file\n").unwrap();
        std::fs::write(folder.path().join("other"), "hf_other\n").unwrap();
        let home = folder.path().to_str().unwrap();
        let other = folder.path().join("other");
        let mut set = vec![("HF_HOME", home)];
        assert_eq!(read(&set).unwrap().token.unwrap(), "hf_file");
        set.push(("HF_TOKEN_PATH", other.to_str().unwrap()));
        assert_eq!(read(&set).unwrap().token.unwrap(), "hf_other");
        set.push(("HF_TOKEN", " hf_set "));
        assert_eq!(read(&set).unwrap().token.unwrap(), "hf_set");
        assert!(read(&[("HF_HOME", home), ("HF_TOKEN", "a\nb")]).is_err());
    }

    #[test]
    fn switches_and_numbers() {
        let with = |name, value| read(&[("HOME", "/h"), (name, value)]);
        for (name, value, on) in
            [("HF_HUB_OFFLINE", "YES", true), ("TRANSFORMERS_OFFLINE", "1", true), ("HF_HUB_OFFLINE", "0", false)]
        {
            assert_eq!(with(name, value).unwrap().offline, on);
        }
        assert_eq!(with("HF_HUB_DOWNLOAD_TIMEOUT", "2.5").unwrap().stall, Duration::from_millis(2500));
        assert_eq!(with("HF_ENDPOINT", "http://mirror:80/hub/").unwrap().endpoint, "http://mirror:80/hub");
        for (name, value) in
            [("HF_HUB_DOWNLOAD_TIMEOUT", "0"), ("HF_HUB_DOWNLOAD_TIMEOUT", "x"), ("HF_ENDPOINT", "mirror")]
        {
            let error = with(name, value).err().unwrap().to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }
}
