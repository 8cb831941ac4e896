//! Upstream servers that fail below or beside the protocol: each way has its documented answer, nothing bad is kept, no
//! lock stays behind, and the next good answer works.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use image::{ImageFormat, Rgba, RgbaImage};
use mapproxy_tests::answers::{header, media_type, text};
use mapproxy_tests::server::Server;
use mapproxy_tests::site::Site;

/// Two layers whose server is the one of the test, and which may take 2 s.
const CONFIGURATION: &str = "
services:
  wms: {srs: ['EPSG:3857'], image_formats: ['image/png']}
  tms: {use_grid_names: true}
layers:
  - {name: maps, title: Maps, sources: [maps_cache]}
  - {name: tiles, title: Tiles, sources: [tiles_cache]}
caches:
  maps_cache: {grids: [GLOBAL_WEBMERCATOR], sources: [maps], meta_size: [1, 1], meta_buffer: 0}
  tiles_cache: {grids: [GLOBAL_WEBMERCATOR], sources: [tiles]}
sources:
  maps: {type: wms, req: {url: 'http://SERVER/service', layers: map}}
  tiles: {type: tile, grid: GLOBAL_WEBMERCATOR, url: 'http://SERVER/%(z)s/%(x)s/%(y)s.png'}
globals: {http: {client_timeout: 2}}
";

const MAP: &str = "/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&STYLES=&SRS=EPSG:3857&BBOX=0,0,10018754.171394622,10018754.171394622&WIDTH=256&HEIGHT=256&FORMAT=image/png&LAYERS=maps";
const TILES: [&str; 2] = [
    "/tiles/maps/GLOBAL_WEBMERCATOR/2/2/1.png",
    "/tiles/tiles/GLOBAL_WEBMERCATOR/2/2/1.png",
];

/// How a connection is treated.
#[derive(Clone)]
enum Way {
    /// bytes, after which the connection is closed
    Answer(Vec<u8>),
    /// bytes again and again
    Endless(Vec<u8>, Vec<u8>),
    /// bytes, after which nothing happens until the client gives up
    Silence(Vec<u8>),
    /// the connection is reset
    Reset,
}

fn answer(head: &str, body: &[u8]) -> Way {
    Way::Answer([head.as_bytes(), b"\r\n\r\n", body].concat())
}

/// An answer with a correct length.
fn full(status: &str, headers: &str, body: &[u8]) -> Way {
    answer(
        &format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}", body.len()),
        body,
    )
}

/// A server on one port that treats each connection as it is told at that time.
struct Upstream {
    address: String,
    way: Arc<Mutex<Way>>,
}

impl Upstream {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let way = Arc::new(Mutex::new(Way::Reset));
        let told = Arc::clone(&way);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let way = told.lock().expect("no test panics while it holds this").clone();
                std::thread::spawn(move || treat(stream, &way));
            }
        });
        Ok(Self { address, way })
    }

    fn tell(&self, way: Way) {
        *self.way.lock().expect("no test panics while it holds this") = way;
    }
}

/// Whatever goes wrong here is what the client did.
fn treat(mut stream: TcpStream, way: &Way) {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    // a request, or the first record of TLS
    while !request.windows(4).any(|window| window == b"\r\n\r\n") && request.first() != Some(&22) {
        match stream.read(&mut piece) {
            Ok(length) if length > 0 => request.extend_from_slice(&piece[..length]),
            _ => return,
        }
    }
    match way {
        Way::Answer(bytes) => {
            let _ = stream.write_all(bytes);
        }
        Way::Endless(head, more) => {
            let mut done = stream.write_all(head);
            while done.is_ok() {
                done = stream.write_all(more);
            }
        }
        Way::Silence(bytes) => {
            let _ = stream.write_all(bytes);
            let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
            let _ = stream.read(&mut piece);
        }
        Way::Reset => {
            // what is not read when the socket closes makes the kernel reset the connection
            let _ = stream.set_nodelay(true);
        }
    }
}

/// A picture of one colour.
fn picture() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = RgbaImage::from_pixel(256, 256, Rgba([10, 120, 30, 255]));
    image
        .write_to(&mut bytes, ImageFormat::Png)
        .expect("a picture in memory");
    bytes.into_inner()
}

/// A picture that is well until its middle.
fn cut(picture: &[u8]) -> Vec<u8> {
    picture[..picture.len() / 2].to_vec()
}

/// A picture whose head claims 65000 by 65000 pixels.
fn bomb() -> Vec<u8> {
    let mut bytes = picture();
    // signature, length and name of the first chunk, width, height, five bytes, check sum (PNG, 11.2.2)
    bytes[16..20].copy_from_slice(&65000_u32.to_be_bytes());
    bytes[20..24].copy_from_slice(&65000_u32.to_be_bytes());
    let mut sum = flate2::Crc::new();
    sum.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.sum().to_be_bytes());
    bytes
}

fn ways() -> Vec<(&'static str, Way)> {
    let good = picture();
    let image = "Content-Type: image/png\r\n";
    let html = b"<html><body>Proxy Error</body></html>";
    let exception = b"<ServiceExceptionReport><ServiceException>no</ServiceException></ServiceExceptionReport>";
    let redirect = |to: &str| full("302 Found", &format!("Location: {to}\r\n"), b"");
    let status = |status: &str| full(status, "Content-Type: text/plain\r\n", b"no");
    let head = |rest: &str| format!("HTTP/1.1 200 OK\r\n{image}{rest}");
    vec![
        ("closed without a word", Way::Answer(Vec::new())),
        ("reset", Way::Reset),
        ("no HTTP", Way::Answer(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())),
        ("half a status line", Way::Answer(b"HTTP/1.1 2".to_vec())),
        ("half a header", Way::Answer(b"HTTP/1.1 200 OK\r\nContent-Ty".to_vec())),
        (
            "endless headers",
            Way::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-More: 1\r\n".to_vec()),
        ),
        ("silent from the start", Way::Silence(Vec::new())),
        ("silent within the headers", Way::Silence(head("").into_bytes())),
        (
            "silent within the body",
            Way::Silence([head("Content-Length: 5000\r\n\r\n").as_bytes(), &cut(&good)].concat()),
        ),
        (
            "shorter than it says",
            answer(head("Content-Length: 99999").trim_end(), &good),
        ),
        (
            "broken chunks",
            answer(head("Transfer-Encoding: chunked").trim_end(), b"zz\r\nno\r\n"),
        ),
        (
            "chunks without an end",
            answer(head("Transfer-Encoding: chunked").trim_end(), b"4\r\n\x89PNG\r\n"),
        ),
        (
            "a negative length",
            answer(head("Content-Length: -1").trim_end(), &good),
        ),
        (
            "two lengths",
            answer(head("Content-Length: 3\r\nContent-Length: 4").trim_end(), b"abcd"),
        ),
        ("a page", full("200 OK", "Content-Type: text/html\r\n", html)),
        ("a page that claims to be an image", full("200 OK", image, html)),
        (
            "an exception",
            full("200 OK", "Content-Type: application/vnd.ogc.se_xml\r\n", exception),
        ),
        ("a truncated picture", full("200 OK", image, &cut(&good))),
        ("a picture of 65000 by 65000 pixels", full("200 OK", image, &bomb())),
        ("a picture's head alone", full("200 OK", image, &good[..20])),
        (
            "a picture said to be text",
            full("200 OK", "Content-Type: text/plain\r\n", &good),
        ),
        ("204", answer("HTTP/1.1 204 No Content", b"")),
        (
            "206",
            full("206 Partial Content", "Content-Type: text/plain\r\n", b"part"),
        ),
        ("304", answer("HTTP/1.1 304 Not Modified", b"")),
        ("a redirect in a circle", redirect("/elsewhere")),
        ("a redirect to another server", redirect("http://127.0.0.2:9/")),
        ("a redirect to a file", redirect("file:///etc/passwd")),
        (
            "a redirect to nowhere",
            answer("HTTP/1.1 302 Found\r\nContent-Length: 0", b""),
        ),
        ("400", status("400 Bad Request")),
        (
            "401",
            full("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", b""),
        ),
        ("403", status("403 Forbidden")),
        ("404", status("404 Not Found")),
        ("407", status("407 Proxy Authentication Required")),
        ("429", full("429 Too Many Requests", "Retry-After: 1\r\n", b"")),
        ("500 with a picture", full("500 Internal Server Error", image, &good)),
        ("502", status("502 Bad Gateway")),
        ("503", full("503 Service Unavailable", "Retry-After: 120\r\n", b"")),
        ("999", status("999 No")),
    ]
}

/// A map and tiles whose source has failed in this way, and that nothing of them is kept.
async fn check_failure(server: &Server, site: &Site, name: &str) -> Result<()> {
    let map = server.get(MAP).await?;
    assert_eq!(media_type(&map), "application/vnd.ogc.se_xml", "{name}: {}", text(&map));
    for path in TILES {
        let tile = server.get(path).await?;
        assert_eq!(tile.status(), 500, "{name}: {path}: {}", text(&tile));
        assert!(header(&tile, "cache-control").contains("no-store"), "{name}: {path}");
        assert!(
            !text(&tile).contains("internal error"),
            "{name}: {path}: {}",
            text(&tile)
        );
    }
    let kept = site.cached_files();
    assert!(kept.is_empty(), "{name}: {kept:?}");
    Ok(())
}

#[tokio::test]
async fn every_way_to_fail_has_its_answer_and_leaves_nothing() -> Result<()> {
    let upstream = Upstream::start()?;
    let site = Site::new(&CONFIGURATION.replace("SERVER", &upstream.address))?;
    let server = site.start().await?;
    for (name, way) in ways() {
        upstream.tell(way);
        check_failure(&server, &site, name).await?;
    }
    upstream.tell(full("200 OK", "Content-Type: image/png\r\n", &picture()));
    for path in [MAP].iter().chain(&TILES) {
        let answer = server.get(path).await?;
        assert_eq!(
            media_type(&answer),
            "image/png",
            "the server is well again: {path}: {}",
            text(&answer)
        );
    }
    assert_eq!(site.cached_files().len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_one_that_fails() -> Result<()> {
    let upstream = Upstream::start()?;
    let secure = CONFIGURATION.replace("http://SERVER", "https://SERVER");
    let site = Site::new(&secure.replace("SERVER", &upstream.address))?;
    let server = site.start().await?;
    for (name, way) in [
        ("HTTP", full("200 OK", "Content-Type: image/png\r\n", &picture())),
        ("closed", Way::Answer(Vec::new())),
        // fatal, handshake_failure (RFC 8446, 6)
        ("an alert", Way::Answer(vec![21, 3, 3, 0, 2, 2, 40])),
        ("half a record", Way::Silence(vec![22, 3, 3, 64])),
    ] {
        upstream.tell(way);
        check_failure(&server, &site, name).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_endless_body_is_given_up() -> Result<()> {
    let upstream = Upstream::start()?;
    let site = Site::new(&CONFIGURATION.replace("SERVER", &upstream.address))?;
    let server = site.start().await?;
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n".to_vec();
    upstream.tell(Way::Endless(head, vec![0; 1 << 16]));
    for path in TILES {
        let tile = server.get(path).await?;
        assert_eq!(tile.status(), 500, "{path}: {}", text(&tile));
    }
    let kept = site.cached_files();
    assert!(kept.is_empty(), "{kept:?}");
    Ok(())
}
