//! JSON documents put together: objects key by key, lists behind each other, anything else by the last one.

use serde_json::Value;

/// `None` if one of them is no JSON.
pub(super) fn combine(documents: &[&[u8]]) -> Option<Vec<u8>> {
    let parse = |document: &&[u8]| serde_json::from_slice::<Value>(document).ok();
    let values: Vec<Value> = documents.iter().map(parse).collect::<Option<_>>()?;
    let combined = values.into_iter().reduce(merge)?;
    serde_json::to_vec(&combined).ok()
}

fn merge(first: Value, second: Value) -> Value {
    match (first, second) {
        (Value::Object(mut first), Value::Object(second)) => {
            for (key, value) in second {
                match first.get_mut(&key) {
                    Some(known) => *known = merge(known.take(), value),
                    None => {
                        first.insert(key, value);
                    }
                }
            }
            Value::Object(first)
        }
        (Value::Array(mut first), Value::Array(second)) => {
            first.extend(second);
            Value::Array(first)
        }
        (_, last) => last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(documents: &[&str], expect: Option<&str>) {
        let documents: Vec<&[u8]> = documents.iter().map(|document| document.as_bytes()).collect();
        let found = combine(&documents).map(|combined| String::from_utf8(combined).unwrap());
        assert_eq!(found.as_deref(), expect, "{documents:?}");
    }

    #[test]
    fn objects_are_merged_deeply() {
        check(
            &[r#"{"a":[1],"b":{"c":1,"d":2}}"#, r#"{"a":[2],"b":{"c":3},"e":4}"#],
            Some(r#"{"a":[1,2],"b":{"c":3,"d":2},"e":4}"#),
        );
        check(&["[1]", "[2]", "[3]"], Some("[1,2,3]"));
        check(&["[1]", "{}"], Some("{}"));
        check(&["[1]", "x"], None);
    }
}
