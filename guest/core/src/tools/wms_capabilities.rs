//! `mapproxy util wms-capabilities`: the layers of a service as people read them (MapProxy: `script/wms_capabilities.py`).

use std::fmt::Write as _;

use super::capabilities::{Capabilities, CapabilitiesError, OfferedLayer, capabilities_url};
use super::{Answer, Files, Output};
use crate::srs::python_float;

/// Characters of a document that is none of ours which are shown.
const SHOWN: usize = 2000;

/// The layers of the service at `service`, asked in this version.
pub fn wms_capabilities(service: &str, version: &str, files: &Files) -> Answer {
    let url = match capabilities_url(service, version) {
        Ok(url) => url,
        Err(reason) => return Answer::Refused(reason),
    };
    let document = match files.get(&url) {
        None => return Answer::Need(vec![url]),
        Some(Err(reason)) => return Answer::Refused(format!("no answer from `{url}`: {reason}")),
        Some(Ok(document)) => document,
    };
    match Capabilities::read(document) {
        Ok(capabilities) => Answer::Output(Output::of_text(describe(&capabilities))),
        Err(error @ (CapabilitiesError::Xml { .. } | CapabilitiesError::Other { .. })) => {
            let line = "-".repeat(80);
            let shown: String = String::from_utf8_lossy(document).chars().take(SHOWN).collect();
            Answer::Refused(format!("this came from `{url}`:\n{line}\n{shown}\n{line}\n{error}"))
        }
        Err(error) => Answer::Refused(error.to_string()),
    }
}

/// Every named or titled layer with what is known of it, indented as the layers are nested.
fn describe(capabilities: &Capabilities) -> String {
    let mut text = format!(
        "# Layers of the service; this is no configuration.\nCapabilities Document Version {}\nRoot-Layer:\n",
        capabilities.version
    );
    let url = capabilities.url.as_deref().unwrap_or_default();
    let root = &capabilities.root;
    if root.name.is_some() {
        layer(&mut text, root, url, 1);
    } else {
        for inner in &root.layers {
            layer(&mut text, inner, url, 1);
        }
    }
    text
}

fn layer(text: &mut String, offered: &OfferedLayer, url: &str, depth: usize) {
    let indent = "  ".repeat(2 * depth - 1);
    let flag = |flag| if flag { "True" } else { "False" }.to_owned();
    let numbers = |edges: &[f64; 4]| format!("[{}]", edges.map(python_float).join(", "));
    let mut lines: Vec<(&str, String)> = Vec::new();
    lines.extend(offered.name.clone().map(|name| ("name", name)));
    lines.extend(offered.title.clone().map(|title| ("title", title)));
    lines.push(("url", url.to_owned()));
    let codes: Vec<String> = offered.srs.iter().map(|code| format!("'{code}'")).collect();
    lines.push(("srs", format!("[{}]", codes.join(", "))));
    lines.extend(offered.lonlat.as_ref().map(|edges| ("llbbox", numbers(edges))));
    lines.push(("queryable", flag(offered.queryable)));
    lines.push(("opaque", flag(offered.opaque)));
    lines.push(("abstract", offered.description.clone().unwrap_or_default()));
    let hint = match offered.resolutions {
        (None, None) => String::new(),
        (coarsest, finest) => format!(
            "({}, {})",
            python_float(coarsest.unwrap_or_default()),
            python_float(finest.unwrap_or_default())
        ),
    };
    lines.push(("res_hint", hint));
    let boxes: Vec<String> = offered
        .boxes
        .iter()
        .map(|(code, edges)| format!("'{code}': {}", numbers(edges)))
        .collect();
    lines.push(("bbox_srs", format!("{{{}}}", boxes.join(", "))));
    lines.push(("legend", offered.legend.clone().unwrap_or_default()));
    for (index, (key, value)) in lines.into_iter().enumerate() {
        let lead = if index == 0 { "- " } else { "  " };
        let value = value.replace('\n', &format!("\n{indent}    "));
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "{}", format!("{indent}{lead}{key}: {value}").trim_end());
    }
    if !offered.layers.is_empty() {
        let _ = writeln!(text, "{indent}  layers:");
        for inner in &offered.layers {
            layer(text, inner, url, depth + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::capabilities::tests::NEW;
    use super::*;

    #[test]
    fn layers_are_listed_as_they_are_nested() {
        let text = describe(&Capabilities::read(NEW.as_bytes()).unwrap());
        let expected = "\
  - name: ns:a
    title: A
    url: http://example.org/s?map=1&
    srs: ['EPSG:3857', 'EPSG:4326', 'EPSG:99999']
    llbbox: [5.0, 45.0, 15.0, 55.0]
    queryable: True
    opaque: True
    abstract: two
      lines
    res_hint: (13.999999999999998, 0.27999999999999997)
    bbox_srs: {'EPSG:4326': [5.0, 45.0, 15.0, 55.0]}
    legend:
  - title: group
";
        assert!(text.contains(expected), "{text}");
        assert!(
            text.contains("\n    layers:\n      - name: in\n        url: "),
            "{text}"
        );
        assert_eq!(text.lines().nth(1), Some("Capabilities Document Version 1.3.0"));
    }
}
