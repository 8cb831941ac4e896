//! Functions of XPath 1.0 (section 4) and XSLT 1.0 (section 12).

use super::XsltError;
use super::eval::{Context, Value, World, ancestors, evaluate, root_of};
use super::tree::{Kind, NodeId};
use super::xpath::Expr;

/// Names with the least and greatest number of arguments.
const FUNCTIONS: [(&str, usize, usize); 36] = [
    ("last", 0, 0),
    ("position", 0, 0),
    ("count", 1, 1),
    ("id", 1, 1),
    ("local-name", 0, 1),
    ("namespace-uri", 0, 1),
    ("name", 0, 1),
    ("string", 0, 1),
    ("concat", 2, 99),
    ("starts-with", 2, 2),
    ("contains", 2, 2),
    ("substring-before", 2, 2),
    ("substring-after", 2, 2),
    ("substring", 2, 3),
    ("string-length", 0, 1),
    ("normalize-space", 0, 1),
    ("translate", 3, 3),
    ("boolean", 1, 1),
    ("not", 1, 1),
    ("true", 0, 0),
    ("false", 0, 0),
    ("lang", 1, 1),
    ("number", 0, 1),
    ("sum", 1, 1),
    ("floor", 1, 1),
    ("ceiling", 1, 1),
    ("round", 1, 1),
    ("current", 0, 0),
    ("key", 2, 2),
    ("format-number", 2, 3),
    ("generate-id", 0, 1),
    ("system-property", 1, 1),
    ("function-available", 1, 1),
    ("element-available", 1, 1),
    ("unparsed-entity-uri", 1, 1),
    ("exsl:node-set", 1, 1),
];

/// Whether a call is one that works.
pub(super) fn check(name: &str, arguments: usize) -> Result<(), String> {
    match FUNCTIONS.iter().find(|(known, ..)| *known == name) {
        Some((_, least, most)) if (*least..=*most).contains(&arguments) => Ok(()),
        Some(_) => Err(format!("wrong number of arguments of `{name}()`")),
        None => Err(format!("unknown function `{name}()`")),
    }
}

pub(super) fn call(name: &str, arguments: &[Expr], context: Context, world: &mut World) -> Result<Value, XsltError> {
    let mut values = Vec::with_capacity(arguments.len());
    for argument in arguments {
        values.push(evaluate(argument, context, world)?);
    }
    let tree = &world.tree;
    let own = Value::Nodes(vec![context.node]);
    let first = values.first().unwrap_or(&own);
    let text = |index: usize| values.get(index).map(|value| value.text(tree)).unwrap_or_default();
    let node = |value: &Value| match value {
        Value::Nodes(nodes) => Ok(nodes.first().copied()),
        _ => Err(XsltError::Unknown {
            what: format!("`{name}()` of what is no node"),
        }),
    };
    let of_name = |pick: &dyn Fn(NodeId) -> String| Ok::<_, XsltError>(node(first)?.map(pick).unwrap_or_default());
    Ok(match name {
        "last" => Value::Number(context.size as f64),
        "position" => Value::Number(context.position as f64),
        "current" => Value::Nodes(vec![context.current]),
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        "not" => Value::Boolean(!first.boolean()),
        "boolean" => Value::Boolean(first.boolean()),
        "number" => Value::Number(first.number(tree)),
        "string" => Value::Text(first.text(tree)),
        "floor" => Value::Number(first.number(tree).floor()),
        "ceiling" => Value::Number(first.number(tree).ceil()),
        // to the greater one where two are as near
        "round" => Value::Number((first.number(tree) + 0.5).floor()),
        "count" => match first {
            Value::Nodes(nodes) => Value::Number(nodes.len() as f64),
            _ => {
                return Err(XsltError::Unknown {
                    what: "`count()` of what are no nodes".to_owned(),
                });
            }
        },
        "sum" => match first {
            Value::Nodes(nodes) => {
                Value::Number(nodes.iter().map(|node| super::eval::to_number(&tree.text(*node))).sum())
            }
            _ => {
                return Err(XsltError::Unknown {
                    what: "`sum()` of what are no nodes".to_owned(),
                });
            }
        },
        "local-name" => Value::Text(of_name(&|id| match &tree.get(id).kind {
            Kind::Instruction(target, _) => target.clone(),
            _ => tree.name(id).map(|name| name.local.to_string()).unwrap_or_default(),
        })?),
        "name" => Value::Text(of_name(&|id| match &tree.get(id).kind {
            Kind::Instruction(target, _) => target.clone(),
            _ => tree.name(id).map(super::tree::Name::written).unwrap_or_default(),
        })?),
        "namespace-uri" => Value::Text(of_name(&|id| {
            tree.name(id).map(|name| name.uri.to_string()).unwrap_or_default()
        })?),
        "generate-id" => Value::Text(of_name(&|id| format!("id{id}"))?),
        "concat" => Value::Text(values.iter().map(|value| value.text(tree)).collect()),
        "starts-with" => Value::Boolean(text(0).starts_with(&text(1))),
        "contains" => Value::Boolean(text(0).contains(&text(1))),
        "substring-before" => Value::Text(
            text(0)
                .split_once(&text(1))
                .map(|(before, _)| before.to_owned())
                .unwrap_or_default(),
        ),
        "substring-after" => Value::Text(
            text(0)
                .split_once(&text(1))
                .map(|(_, after)| after.to_owned())
                .unwrap_or_default(),
        ),
        "substring" => {
            let round = |number: f64| (number + 0.5).floor();
            let start = values.get(1).map_or(f64::NAN, |value| round(value.number(tree)));
            let end = values
                .get(2)
                .map_or(f64::INFINITY, |value| start + round(value.number(tree)));
            let is_inside = |index: usize| (index as f64 + 1.0) >= start && (index as f64 + 1.0) < end;
            let chars = text(0)
                .chars()
                .enumerate()
                .filter(|(index, _)| is_inside(*index))
                .map(|(_, c)| c)
                .collect();
            Value::Text(chars)
        }
        "string-length" => Value::Number(first.text(tree).chars().count() as f64),
        "normalize-space" => Value::Text(first.text(tree).split_whitespace().collect::<Vec<_>>().join(" ")),
        "translate" => {
            let (from, to): (Vec<char>, Vec<char>) = (text(1).chars().collect(), text(2).chars().collect());
            let whole = text(0);
            let translated = whole
                .chars()
                .filter_map(|char| match from.iter().position(|known| *known == char) {
                    None => Some(char),
                    Some(index) => to.get(index).copied(),
                });
            Value::Text(translated.collect())
        }
        "lang" => {
            let wanted = text(0).to_lowercase();
            let nodes = std::iter::once(context.node).chain(ancestors(tree, context.node));
            let mut told = nodes.filter_map(|id| {
                tree.get(id)
                    .attributes
                    .iter()
                    .find_map(|attribute| match &tree.get(*attribute).kind {
                        Kind::Attribute(name, value) if &*name.prefix == "xml" && &*name.local == "lang" => Some(value),
                        _ => None,
                    })
            });
            let told = told.next().map(|value| value.to_lowercase());
            Value::Boolean(told.is_some_and(|told| {
                told.strip_prefix(&wanted)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            }))
        }
        // without a DTD no attribute is an ID
        "id" => Value::Nodes(Vec::new()),
        "unparsed-entity-uri" => Value::Text(String::new()),
        "key" => {
            let wanted: Vec<String> = match values.get(1) {
                Some(Value::Nodes(nodes)) => nodes.iter().map(|node| tree.text(*node)).collect(),
                _ => vec![text(1)],
            };
            let table = world.keys.get(&text(0)).ok_or_else(|| XsltError::Unknown {
                what: format!("key `{}`", text(0)),
            })?;
            let root = root_of(tree, context.node);
            let mut nodes: Vec<NodeId> = wanted
                .iter()
                .filter_map(|value| table.get(value))
                .flatten()
                .copied()
                .collect();
            nodes.retain(|node| root_of(tree, *node) == root);
            nodes.sort_unstable();
            nodes.dedup();
            Value::Nodes(nodes)
        }
        "format-number" => Value::Text(format_number(first.number(tree), &text(1))),
        "system-property" => Value::Text(match text(0).as_str() {
            "xsl:version" => "1.0".to_owned(),
            "xsl:vendor" => "mapproxy.wasm".to_owned(),
            _ => String::new(),
        }),
        "function-available" => Value::Boolean(FUNCTIONS.iter().any(|(known, ..)| *known == text(0))),
        "element-available" => Value::Boolean(super::instructions::is_known(text(0).trim_start_matches("xsl:"))),
        "exsl:node-set" => first.clone(),
        _ => {
            return Err(XsltError::Unknown {
                what: format!("function `{name}()`"),
            });
        }
    })
}

/// Java's patterns with the default symbols: `#,##0.00`, `0%`, prefixes and suffixes, a second pattern for negatives.
fn format_number(number: f64, pattern: &str) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    let (positive, negative) = pattern
        .split_once(';')
        .map_or((pattern, None), |(one, other)| (one, Some(other)));
    let is_symbol = |c: char| matches!(c, '#' | '0' | ',' | '.');
    let parts = |pattern: &str| {
        let start = pattern.find(is_symbol).unwrap_or(pattern.len());
        let (prefix, rest) = pattern.split_at(start);
        let end = rest.find(|c| !is_symbol(c)).unwrap_or(rest.len());
        let (symbols, suffix) = rest.split_at(end);
        (prefix.to_owned(), symbols.to_owned(), suffix.to_owned())
    };
    let (mut prefix, symbols, mut suffix) = parts(positive);
    if number < 0.0 {
        match negative {
            Some(negative) => (prefix, _, suffix) = parts(negative),
            None => prefix = format!("-{prefix}"),
        }
    }
    let factor = if suffix.contains('%') {
        100.0
    } else if suffix.contains('‰') {
        1000.0
    } else {
        1.0
    };
    let value = number.abs() * factor;
    if value.is_infinite() {
        return format!("{prefix}Infinity{suffix}");
    }
    let (whole, fraction) = symbols.split_once('.').unwrap_or((&symbols, ""));
    let least = fraction.matches('0').count();
    let most = fraction.len().min(30);
    let digits = format!("{value:.most$}");
    let (digits, decimals) = digits.split_once('.').unwrap_or((&digits, ""));
    let mut decimals = decimals.to_owned();
    while decimals.len() > least && decimals.ends_with('0') {
        decimals.pop();
    }
    let mut digits = digits.trim_start_matches('0').to_owned();
    let wanted = whole.matches('0').count();
    while digits.len() < wanted.min(30) {
        digits.insert(0, '0');
    }
    if let Some((_, group)) = whole.rsplit_once(',').filter(|(_, group)| !group.is_empty()) {
        let mut position = digits.len();
        while position > group.len() {
            position -= group.len();
            digits.insert(position, ',');
        }
    }
    if digits.is_empty() && decimals.is_empty() {
        digits.push('0');
    }
    let point = if decimals.is_empty() { "" } else { "." };
    format!("{prefix}{digits}{point}{decimals}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_their_pattern() {
        let check = |number: f64, pattern: &str, expect: &str| {
            assert_eq!(format_number(number, pattern), expect, "{number} as {pattern}");
        };
        check(1234.5, "#,##0.00", "1,234.50");
        check(0.256, "0.#%", "25.6%");
        check(-3.0, "0", "-3");
        check(-3.0, "0;(0)", "(3)");
        check(0.0, "#", "0");
        check(7.0, "000 m", "007 m");
        check(f64::NAN, "0", "NaN");
        check(1e15, "#,##0", "1,000,000,000,000,000");
    }
}
