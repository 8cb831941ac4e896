//! Programs that people use: GDAL, `OWSLib`, `OpenLayers`, Leaflet, `MapLibre`, and the demo page in Chromium, each
//! against the real server. What they draw is compared with the server's own GetMap of the same place, which must show something.
//!
//! The programs come by `make tools`; scripts and pages are in `tests/clients`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use image::RgbaImage;
use mapproxy_tests::images::{Tolerance, assert_alike, decode};
use mapproxy_tests::server::Server;
use mapproxy_tests::site::Site;
use tokio::process::Command;

/// Level 3 of Web Mercator around a corner of its tiles, 512 pixels wide and high.
const SQUARE: &str = "SRS=EPSG:3857&BBOX=0,0,10018754.171394622,10018754.171394622&WIDTH=512&HEIGHT=512";
/// The middle of the world in longitude and latitude.
const DEGREES: &str = "SRS=EPSG:4326&BBOX=-90,-45,90,45&WIDTH=512&HEIGHT=256";

/// Tiles are quantised and put together, maps are put together and quantised; labels at edges of meta tiles differ.
const DRAWN: Tolerance = Tolerance {
    mean: 1.0,
    outliers: 0.001,
};

/// The proxy, and a folder for what a program writes.
struct Shop {
    _site: Site,
    server: Server,
    folder: tempfile::TempDir,
}

impl Shop {
    async fn open() -> Result<Self> {
        let site = Site::new(include_str!("../clients/mapproxy.yaml"))?;
        let server = site.start().await?;
        let folder = tempfile::tempdir()?;
        Ok(Self {
            _site: site,
            server,
            folder,
        })
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Runs a program to its end, which must be a good one; `{proxy}` and `{folder}` in arguments are replaced.
    async fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let folder = self.folder.path().display().to_string();
        let arguments = arguments
            .iter()
            .map(|argument| argument.replace("{proxy}", &self.url()).replace("{folder}", &folder));
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("GDAL_DEFAULT_WMS_CACHE_PATH", self.folder.path().join("gdal"))
            .env("PYTHONPATH", clients().join("python"))
            .kill_on_drop(true);
        // servers on this machine are not behind a proxy
        for name in ["http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        let output = command
            .output()
            .await
            .with_context(|| format!("failed to run `{program}`: `make tools` installs it"))?;
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        ensure!(
            output.status.success(),
            "`{program}` ended with {}:\n{text}\n{}",
            output.status,
            self.server.log()
        );
        Ok(text)
    }

    /// What the server's WMS draws itself, which is not just one colour.
    async fn map(&self, layer: &str, place: &str) -> Result<RgbaImage> {
        let path = format!(
            "/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS={layer}&STYLES=&FORMAT=image/png&{place}"
        );
        let picture = decode(self.server.get(&path).await?.body())?;
        let first = *picture.get_pixel(0, 0);
        let others = picture.pixels().filter(|pixel| **pixel != first).count();
        ensure!(others > picture.len() / 40, "the map of {layer} shows nothing");
        Ok(picture)
    }

    fn drawn(&self, name: &str) -> Result<RgbaImage> {
        let path = self.folder.path().join(format!("{name}.png"));
        decode(&std::fs::read(&path).with_context(|| format!("no `{}`", path.display()))?)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(std::fs::write(
            self.folder.path().join(name),
            text.replace("{proxy}", &self.url()),
        )?)
    }
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

fn script(name: &str) -> String {
    clients().join(name).display().to_string()
}

#[tokio::test]
async fn gdal_reads_the_wms() -> Result<()> {
    let shop = Shop::open().await?;
    let listed = shop.run("gdalinfo", &["WMS:{proxy}/service?SERVICE=WMS"]).await?;
    assert!(
        listed.contains("LAYERS=world") && listed.contains("_DESC=Europe"),
        "{listed}"
    );

    // axes of 1.3.0 in degrees, written as GDAL wants to be told
    for (version, system, order) in [("1.1.1", "SRS", "xyXY"), ("1.3.0", "CRS", "yxYX")] {
        let file = format!("wms-{version}.xml");
        shop.write(
            &file,
            &format!(
                "<GDAL_WMS><Service name='WMS'><Version>{version}</Version><ServerUrl>{{proxy}}/service?</ServerUrl>\
                 <Layers>world</Layers><{system}>EPSG:4326</{system}><ImageFormat>image/png</ImageFormat>\
                 <BBoxOrder>{order}</BBoxOrder></Service><DataWindow><UpperLeftX>-90</UpperLeftX>\
                 <UpperLeftY>45</UpperLeftY><LowerRightX>90</LowerRightX><LowerRightY>-45</LowerRightY>\
                 <SizeX>512</SizeX><SizeY>256</SizeY></DataWindow><Projection>EPSG:4326</Projection>\
                 <BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY><BandsCount>3</BandsCount></GDAL_WMS>"
            ),
        )?;
        let picture = format!("gdal-wms-{version}");
        shop.run(
            "gdal_translate",
            &["-q", "-of", "PNG", &file, &format!("{picture}.png")],
        )
        .await?;
        let expected = shop.map("world", DEGREES).await?;
        assert_alike(&picture, &expected, &shop.drawn(&picture)?, DRAWN);
    }
    Ok(())
}

#[tokio::test]
async fn gdal_reads_the_wmts() -> Result<()> {
    let shop = Shop::open().await?;
    let square = "-projwin 0 10018754.171394622 10018754.171394622 0 -outsize 512 512";
    // one level, since the smaller pictures that GDAL makes of a large one begin at pixels of the large one
    let utm = "-projwin 0 6000000 1024000 4976000 -outsize 512 512";
    for (name, document, set, window) in [
        (
            "rest",
            "/wmts/1.0.0/WMTSCapabilities.xml",
            "layer=world,tilematrixset=webmercator",
            square,
        ),
        (
            "kvp",
            "/service?SERVICE=WMTS&REQUEST=GetCapabilities",
            "layer=world,tilematrixset=webmercator",
            square,
        ),
        (
            "utm",
            "/wmts/1.0.0/WMTSCapabilities.xml",
            "layer=europe,tilematrixset=utm32,tilematrix=03",
            utm,
        ),
    ] {
        let source = format!("WMTS:{{proxy}}{document},{set}");
        let target = format!("gdal-wmts-{name}");
        let file = format!("{target}.png");
        let mut arguments: Vec<&str> = ["-q", "-of", "PNG"].into_iter().chain(window.split(' ')).collect();
        arguments.extend([source.as_str(), file.as_str()]);
        shop.run("gdal_translate", &arguments).await?;
        let expected = if name == "utm" {
            let place = "SRS=EPSG:32632&BBOX=0,4976000,1024000,6000000&WIDTH=512&HEIGHT=512";
            shop.map("europe", place).await?
        } else {
            shop.map("world", SQUARE).await?
        };
        assert_alike(&target, &expected, &shop.drawn(&target)?, DRAWN);
    }
    Ok(())
}

#[tokio::test]
async fn gdal_reads_the_tms() -> Result<()> {
    let shop = Shop::open().await?;
    let path = "{proxy}/tms/1.0.0/world/webmercator";
    let about = shop.run("gdalinfo", &[path]).await?;
    assert!(about.contains("Size is 134217728, 134217728"), "{about}");
    let mut arguments: Vec<&str> = "-q -of PNG -projwin 0 10018754.171394622 10018754.171394622 0 -outsize 512 512"
        .split(' ')
        .collect();
    arguments.extend([path, "gdal-tms.png"]);
    shop.run("gdal_translate", &arguments).await?;
    let expected = shop.map("world", SQUARE).await?;
    assert_alike("gdal-tms", &expected, &shop.drawn("gdal-tms")?, DRAWN);
    Ok(())
}

#[tokio::test]
async fn owslib_reads_every_service() -> Result<()> {
    let shop = Shop::open().await?;
    shop.run("python3", &[&script("owslib_client.py"), "{proxy}", "{folder}"])
        .await?;
    let square = shop.map("world", SQUARE).await?;
    let degrees = shop.map("world", DEGREES).await?;
    for version in ["1.1.1", "1.3.0"] {
        let name = format!("owslib-wms-{version}");
        assert_alike(&name, &square, &shop.drawn(&name)?, Tolerance::EXACT);
        let name = format!("owslib-degrees-{version}");
        assert_alike(&name, &degrees, &shop.drawn(&name)?, Tolerance::EXACT);
    }
    let tile = shop
        .map(
            "world",
            "SRS=EPSG:3857&BBOX=0,0,10018754.171394622,10018754.171394622&WIDTH=256&HEIGHT=256",
        )
        .await?;
    assert_alike("owslib-wmts", &tile, &shop.drawn("owslib-wmts")?, DRAWN);
    Ok(())
}

#[tokio::test]
async fn map_libraries_show_every_service() -> Result<()> {
    let shop = Shop::open().await?;
    shop.run("node", &[&script("maps.mjs"), "{proxy}", "{folder}"]).await?;
    let expected = shop.map("world", SQUARE).await?;
    for (library, services) in [
        (
            "openlayers",
            &["wms", "tiled-wms", "wmts", "wmts-kvp", "xyz", "tms"][..],
        ),
        ("leaflet", &["wms", "xyz", "tms"]),
        ("maplibre", &["wms", "xyz", "tms"]),
    ] {
        for service in services {
            let name = format!("{library}-{service}");
            assert_alike(&name, &expected, &shop.drawn(&name)?, DRAWN);
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_demo_page_shows_every_service_and_does_what_people_ask() -> Result<()> {
    let shop = Shop::open().await?;
    shop.run("node", &[&script("demo.mjs"), "{proxy}", "{folder}"]).await?;
    let world = shop.map("world", SQUARE).await?;
    let europe = shop.drawn("demo-europe-wms")?;
    for service in ["wmts", "tiles", "tms", "wms"] {
        for (layer, expected) in [("world", &world), ("europe", &europe)] {
            let name = format!("demo-{layer}-{service}");
            assert_alike(&name, expected, &shop.drawn(&name)?, DRAWN);
        }
    }
    Ok(())
}
