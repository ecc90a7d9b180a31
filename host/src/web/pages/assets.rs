//! Style, script and icon: compiled in, and named by their content, so that a
//! browser may keep them for ever.

use std::sync::LazyLock;

use axum::{
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use super::{Error, extract::Path};

const FOREVER: &str = "public, max-age=31536000, immutable";

struct Asset {
    /// `style.3f2a….css`.
    name: String,
    content_type: &'static str,
    content: &'static str,
}

impl Asset {
    fn new(stem: &str, ending: &str, content_type: &'static str, content: &'static str) -> Self {
        let digest = Sha256::digest(content.as_bytes());
        let hash: String = digest[..8].iter().map(|b| format!("{b:02x}")).collect();
        Self {
            name: format!("{stem}.{hash}.{ending}"),
            content_type,
            content,
        }
    }
}

/// The files below `static`, one after the other.
macro_rules! of_static {
    ($($file:literal),+ $(,)?) => {
        concat!($(include_str!(concat!("../../../static/", $file)), "\n"),+)
    };
}

/// What is narrow, printed or of few colours overrides the rest, and comes last.
static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let content = of_static!(
        "style/theme.css",
        "style/ground.css",
        "style/frame.css",
        "style/alone.css",
        "style/controls.css",
        "style/layout.css",
        "style/components.css",
        "style/tables.css",
        "style/profile.css",
        "style/audience.css",
        "style/connection.css",
        "style/health.css",
        "style/members.css",
        "style/fields.css",
        "style/operator.css",
        "style/demo.css",
        "style/narrow.css",
    );
    Asset::new("style", "css", "text/css; charset=utf-8", content)
});

static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let content = of_static!("live.js", "parts.js");
    Asset::new("page", "js", "text/javascript; charset=utf-8", content)
});

static ICON: LazyLock<Asset> = LazyLock::new(|| {
    let content = include_str!("../../../static/icon.svg");
    Asset::new("icon", "svg", "image/svg+xml", content)
});

/// The stylesheet's file name.
pub fn style() -> &'static str {
    &STYLE.name
}

/// The script's file name.
pub fn script() -> &'static str {
    &SCRIPT.name
}

/// The icon's file name.
pub fn icon() -> &'static str {
    &ICON.name
}

/// `GET /static/{file}`.
pub async fn file(Path(name): Path<String>) -> Result<Response, Error> {
    let asset = [&STYLE, &SCRIPT, &ICON]
        .into_iter()
        .find(|asset| asset.name == name)
        .ok_or(Error::NotFound("file"))?;
    let headers = [(CONTENT_TYPE, asset.content_type), (CACHE_CONTROL, FOREVER)];
    Ok((headers, asset.content).into_response())
}
