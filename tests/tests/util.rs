//! `mapproxy util`: helpers that print.

use anyhow::Result;
use mapproxy_tests::command::run;
use mapproxy_tests::site::Site;

#[tokio::test]
async fn grids_are_described() -> Result<()> {
    let site = Site::new(
        "caches: {c: {grids: [mine], sources: []}}\ngrids: {mine: {base: GLOBAL_GEODETIC, num_levels: 2}}\n",
    )?;
    let listed = run(site.folder(), "util grids -f mapproxy.yaml -l").await?;
    assert_eq!(
        (listed.code, listed.stdout.as_str()),
        (0, "mine\n"),
        "{}",
        listed.stderr
    );
    let all = run(site.folder(), "util grids mapproxy.yaml --list --all").await?;
    assert_eq!(all.stdout.lines().count(), 4, "{}", all.stdout);
    let one = run(site.folder(), "util grids mapproxy.yaml -g MINE").await?;
    assert!(one.stdout.contains("00:  1.40625,"), "{}", one.stdout);
    let unknown = run(site.folder(), "util grids mapproxy.yaml -g other").await?;
    assert_eq!(unknown.code, 2);
    assert!(
        unknown.stderr.starts_with("ERROR: unknown grid `other`"),
        "{}",
        unknown.stderr
    );
    Ok(())
}

#[tokio::test]
async fn scales_are_converted() -> Result<()> {
    let site = Site::new("services:\n")?;
    let done = run(site.folder(), "util scales -l 2 1000").await?;
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (
            0,
            "        0.2800000000 #  0        1000.00000000\n        0.1400000000 #  1         500.00000000\n"
        ),
        "{}",
        done.stderr
    );
    assert_eq!(run(site.folder(), "util scales x").await?.code, 2);
    Ok(())
}
