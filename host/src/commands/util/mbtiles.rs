//! Tiles of a directory (`z/x/y.ext`) into one file: `MBTiles` 1.3, a database of `SQLite`. Tables, index and rows are
//! those of MapProxy's `mbtiles` caches.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use rusqlite::{Connection, params};

/// Tiles in one transaction.
const BATCH: u64 = 1000;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS metadata (name text, value text);
CREATE TABLE IF NOT EXISTS tiles (zoom_level integer, tile_column integer, tile_row integer, tile_data blob);
CREATE UNIQUE INDEX IF NOT EXISTS idx_tile ON tiles (zoom_level, tile_column, tile_row);
";

/// Packs all tiles below `directory`, in place of those of the same number in `target`; returns how many there were.
/// `facts`: `bounds`, `minzoom` and `maxzoom`; others are not kept.
pub(super) fn pack(directory: &Path, target: &Path, facts: &[(String, String)]) -> Result<u64> {
    pack_all(directory, target, facts).with_context(|| format!("failed to write `{}`", target.display()))
}

fn pack_all(directory: &Path, target: &Path, facts: &[(String, String)]) -> Result<u64> {
    let connection = Connection::open(target)?;
    connection.execute_batch(TABLES)?;
    // what is left open when this fails is undone by SQLite
    connection.execute_batch("BEGIN")?;
    let mut packed = 0;
    let mut format = None;
    let mut insert = connection.prepare("INSERT OR REPLACE INTO tiles VALUES (?, ?, ?, ?)")?;
    for (level, level_path) in numbered(directory)? {
        for (column, column_path) in numbered(&level_path)? {
            for (row, path) in numbered(&column_path)? {
                let data = fs::read(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
                insert.execute(params![level, column, row, data])?;
                format = format.or_else(|| path.extension().map(|own| own.to_string_lossy().into_owned()));
                packed += 1;
                if packed % BATCH == 0 {
                    connection.execute_batch("COMMIT; BEGIN")?;
                }
            }
        }
    }
    let name = target.file_stem().map(|name| name.to_string_lossy().into_owned());
    let format = format.map(|format| if format == "jpeg" { "jpg".to_owned() } else { format });
    let known = |wanted: &str| {
        facts
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.clone())
    };
    let metadata = [
        ("name", name),
        ("format", format),
        ("type", Some("baselayer".to_owned())),
        ("version", Some("1".to_owned())),
        ("bounds", known("bounds")),
        ("minzoom", known("minzoom")),
        ("maxzoom", known("maxzoom")),
    ];
    for (name, value) in metadata {
        if let Some(value) = value {
            connection.execute("DELETE FROM metadata WHERE name = ?", params![name])?;
            connection.execute("INSERT INTO metadata VALUES (?, ?)", params![name, value])?;
        }
    }
    connection.execute_batch("COMMIT")?;
    Ok(packed)
}

/// Entries whose names, but for an extension, are numbers; in their order.
fn numbered(directory: &Path) -> Result<Vec<(u32, std::path::PathBuf)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| format!("failed to list `{}`", directory.display()))? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let Some(number) = number {
            entries.push((number, path));
        }
    }
    entries.sort_unstable();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_packed_and_replaced() {
        let folder = std::env::temp_dir().join(format!("mapproxy-mbtiles-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = folder.join("tiles").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("0/0/0.jpeg", "old");
        write("12/7/9.jpeg", "deep");
        write("tile_locks/x.lck", "");
        let target = folder.join("map.mbtiles");
        let facts = [
            ("minzoom".to_owned(), "0".to_owned()),
            ("origin".to_owned(), "ul".to_owned()),
        ];
        assert_eq!(pack(&folder.join("tiles"), &target, &facts).unwrap(), 2);
        write("0/0/0.jpeg", "new");
        assert_eq!(pack(&folder.join("tiles"), &target, &facts).unwrap(), 2);

        let connection = Connection::open(&target).unwrap();
        let all = |query: &str| -> Vec<String> {
            let mut statement = connection.prepare(query).unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        assert_eq!(
            all(
                "SELECT zoom_level || '/' || tile_column || '/' || tile_row || ' ' || CAST(tile_data AS text) FROM tiles"
            ),
            ["0/0/0 new", "12/7/9 deep"]
        );
        assert_eq!(
            all("SELECT name || '=' || value FROM metadata ORDER BY name"),
            ["format=jpg", "minzoom=0", "name=map", "type=baselayer", "version=1"]
        );
        fs::remove_dir_all(&folder).unwrap();
    }
}
