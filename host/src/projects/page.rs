//! The pages of a directory of projects, in the look of the component's own start page.

use std::fmt::Write as _;

/// The style of the component's start page.
const STYLE: &str = include_str!("../../../guest/core/templates/index/page.css");

/// The start page: a welcome, and the projects where they may be listed. `base` is the path the server is mounted
/// under, each project a name and the path segment that leads to it.
pub(super) fn index(base: &str, projects: Option<&[(String, String)]>) -> String {
    let mut main = format!(
        "<h1>Welcome to MapProxy</h1>\n<p>mapproxy.wasm {}</p>\n",
        env!("CARGO_PKG_VERSION")
    );
    match projects {
        None => {}
        Some([]) => main.push_str("<p>There are no projects yet.</p>\n"),
        Some(projects) => {
            main.push_str("<ul>\n");
            for (name, segment) in projects {
                let href = escape(&format!("{base}/{segment}/"));
                // Writing to a String does not fail.
                let _ = writeln!(
                    main,
                    "<li><span>{}</span><a href=\"{href}\">Open</a></li>",
                    escape(name)
                );
            }
            main.push_str("</ul>\n");
        }
    }
    page("MapProxy", &main)
}

/// What a project answers while its configuration has errors. What they are is nothing for strangers: lines of a
/// configuration may hold passwords.
pub(super) fn broken(name: &str) -> String {
    let main = format!(
        "<h1>This project cannot be served</h1>\n<p>The configuration of <b>{}</b> has errors. The log of the server \
         names them; <code>mapproxy check</code> prints them too. Once it is corrected, the next request finds the \
         project working.</p>\n",
        escape(name)
    );
    page("Errors in the configuration", &main)
}

/// A page of ours; `main` is HTML.
pub(crate) fn page(title: &str, main: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{main}</main>\n</body>\n\
         </html>\n"
    )
}

/// A text as it stands in HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        let projects = [("a<b".to_owned(), "a%3Cb".to_owned())];
        let page = index("/maps", Some(&projects));
        assert!(
            page.contains("<li><span>a&lt;b</span><a href=\"/maps/a%3Cb/\">Open</a></li>"),
            "{page}"
        );
        assert!(broken("<script>").contains("<b>&lt;script&gt;</b>"));
    }

    #[test]
    fn without_listing_no_project_is_named() {
        assert!(!index("", None).contains("<li>"));
        assert!(index("", Some(&[])).contains("no projects"));
    }
}
