//! Pictures of pages on a phone and on a desk, by day and by night; and what can be judged of their
//! looks without eyes.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::accessible;
use crate::browser::Browser;

const WIDTHS: [u32; 2] = [390, 1280];
const SCHEMES: [&str; 2] = ["light", "dark"];

/// What every page must be at every width: no wider than its window.
const TOO_WIDE: &str = "
const root = document.documentElement;
return root.scrollWidth > root.clientWidth ? [`${root.scrollWidth} pixels wide`] : [];";

/// What the gateway's own pages must be: fields with labels, one heading that leads, an order of the
/// keyboard that is the order of the page, texts that stand out (WCAG 2.2, 1.4.3) and things that a
/// finger can hit (2.5.8), and no script.
const FAULTS: &str = "
const faults = [];
const seen = e => e.getClientRects().length > 0 && !e.closest('.unseen');
for (const e of document.querySelectorAll('input:not([type=hidden])'))
  if (seen(e) && !(e.labels.length || e.ariaLabel)) faults.push(`${e.name} has no label`);
if (document.querySelectorAll('h1').length !== 1) faults.push('not one heading');
if (document.querySelector('[tabindex]:not([tabindex=\"-1\"])')) faults.push('an order of its own');
if (document.querySelector('script')) faults.push('a script');
if (!document.title || !document.documentElement.lang) faults.push('no title or language');

const parts = color => {
  const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number);
  return { rgb: [r, g, b], a };
};
const over = (front, back) => front.rgb.map((part, i) => part * front.a + back[i] * (1 - front.a));
const ground = e => {
  if (!e) return [255, 255, 255];
  const front = parts(getComputedStyle(e).backgroundColor);
  return front.a === 1 ? front.rgb : over(front, ground(e.parentElement));
};
const light = rgb => {
  const [r, g, b] = rgb.map(p => p / 255).map(p => p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
for (const e of document.body.querySelectorAll('*')) {
  const says = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  if (!(says || e.value) || !seen(e) || e.closest('svg')) continue;
  const back = ground(e);
  const [high, low] = [light(over(parts(getComputedStyle(e).color), back)), light(back)].sort((a, b) => b - a);
  const ratio = (high + 0.05) / (low + 0.05);
  if (ratio < 4.5) faults.push(`${e.textContent.trim() || e.value} stands out only ${ratio.toFixed(2)}`);
}
for (const e of document.querySelectorAll('button, input:not([type=hidden]), a.button, summary')) {
  const box = e.getBoundingClientRect();
  if (seen(e) && Math.min(box.width, box.height) < 24) faults.push(`${e.innerText || e.name} is too small`);
}
for (const e of document.querySelectorAll('.recovery-code, button'))
  if (e.getClientRects().length > 1 || e.scrollWidth > e.parentElement.clientWidth) faults.push(`${e.textContent} is broken`);
const isDark = matchMedia('(prefers-color-scheme: dark)').matches;
if (isDark !== light(ground(document.body)) < 0.2) faults.push('not in the colours asked for');
return faults;";

/// Keeps a picture of the page for each width and scheme, and checks what it can.
///
/// Without scripts the checks can't wait for anything; pages look the same, as they have none.
pub(crate) async fn keep(browser: &Browser, name: &str) {
    if !browser.has_scripts {
        return;
    }
    let is_own = browser.address().await.starts_with("/.portcullis/")
        || browser
            .run("return document.title")
            .await
            .as_str()
            .unwrap()
            .ends_with("Portcullis");
    for width in WIDTHS {
        for scheme in SCHEMES {
            show_as(browser, width, scheme).await;
            let mut faults = browser.run(TOO_WIDE).await.as_array().unwrap().clone();
            if is_own {
                faults.extend(
                    browser
                        .run(FAULTS)
                        .await
                        .as_array()
                        .unwrap()
                        .iter()
                        .cloned(),
                );
                faults.extend(accessible::faults(browser).await);
            }
            assert!(faults.is_empty(), "{name} at {width}, {scheme}: {faults:?}");
            picture(
                browser,
                &folder().join(format!("{name}-{width}-{scheme}.png")),
            )
            .await;
        }
    }
    browser
        .driver
        .debug("Emulation.clearDeviceMetricsOverride", json!({}))
        .await;
    emulate_scheme(browser, "").await;
    if is_own {
        let complaints = browser.complaints().await;
        let refused: Vec<_> = complaints
            .iter()
            .filter(|text| {
                text.contains("Content Security Policy") || text.contains("/.portcullis/static")
            })
            .collect();
        assert!(refused.is_empty(), "{name}: {refused:?}");
    }
}

async fn show_as(browser: &Browser, width: u32, scheme: &str) {
    let metrics = json!({
        "width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600,
    });
    browser
        .driver
        .debug("Emulation.setDeviceMetricsOverride", metrics)
        .await;
    emulate_scheme(browser, scheme).await;
}

async fn emulate_scheme(browser: &Browser, scheme: &str) {
    let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
    let media = json!({ "features": [feature] });
    browser
        .driver
        .debug("Emulation.setEmulatedMedia", media)
        .await;
}

/// The whole page, also what is below the edge of the window.
async fn picture(browser: &Browser, path: &Path) {
    let asked = json!({ "format": "png", "captureBeyondViewport": true });
    let taken: Value = browser.driver.debug("Page.captureScreenshot", asked).await;
    let bytes = STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The same wherever things are built.
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
    fs::create_dir_all(&folder).unwrap();
    folder
}
