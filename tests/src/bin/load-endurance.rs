//! Minutes of everything at once (tiles, tiles that nobody has seen, maps, capabilities, nonsense) from 64 clients, half
//! of them through FastCGI, with what it took and what it left behind; too long for a test: `make endurance`. It is also
//! what the profile of `make profile` is recorded from.
//!
//! `load-endurance MINUTES [KIND]`, of one kind alone: tile, map, miss, capabilities, nonsense

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use mapproxy_tests::endurance::{Random, say};
use mapproxy_tests::fastcgi;
use mapproxy_tests::server::Server;
use mapproxy_tests::site::Site;
use tokio::net::TcpStream;

const CLIENTS: u64 = 64;

const CONFIGURATION: &str = "
services: {wms: {srs: ['EPSG:3857', 'EPSG:4326'], image_formats: [image/png, image/jpeg]}, wmts: {}, tms: {}, kml: {}, demo: {}}
layers: [{name: map, title: Map, sources: [map]}, {name: direct, title: Direct, sources: [wms]}]
caches: {map: {grids: [GLOBAL_WEBMERCATOR], sources: [wms]}}
sources: {wms: {type: wms, supported_srs: ['EPSG:3857', 'EPSG:4326'], req: {url: SAMPLE/service, layers: map}}}
";

/// What clients ask, and how often among a hundred times.
const KINDS: [(&str, u32); 5] = [
    ("tile", 60),
    ("map", 15),
    ("miss", 5),
    ("capabilities", 5),
    ("nonsense", 15),
];

const NONSENSE: [&str; 6] = [
    "/wmts/map/GLOBAL_WEBMERCATOR/3/99/0.png",
    "/tms/1.0.0/none/EPSG900913/0/0/0.png",
    "/tiles/map/x/y/z.png",
    "/service?SERVICE=WMTS&REQUEST=GetTile&LAYER=%00&TILEMATRIX=-1",
    "/../../../etc/passwd",
    "/nothing/%ff%fe/here?a=b&a=%3Cscript%3E",
];

fn path(kind: &str, random: &mut Random) -> String {
    let tile = |level: u32, random: &mut Random| {
        let side = 1 << level;
        let (column, row) = (random.below(side), random.below(side));
        format!("/wmts/map/GLOBAL_WEBMERCATOR/{level}/{column}/{row}.png")
    };
    match kind {
        "tile" => {
            let level = random.below(5);
            tile(level, random)
        }
        "miss" => tile(12, random),
        "map" => {
            let side = 2_000_000.0 + random.fraction() * 16_000_000.0;
            let (west, south) = (-20e6 + random.fraction() * 20e6, -20e6 + random.fraction() * 20e6);
            let format = ["png", "jpeg"][random.below(2) as usize];
            let layer = ["map", "map", "map", "direct"][random.below(4) as usize];
            let (srs, scale) = [("EPSG:3857", 1.0), ("EPSG:4326", 250_000.0)][random.below(2) as usize];
            format!(
                "/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS={layer}&STYLES=&SRS={srs}&FORMAT=image/{format}\
                 &WIDTH=512&HEIGHT=512&BBOX={},{},{},{}",
                west / scale,
                south / scale,
                (west + side) / scale,
                (south + side) / scale
            )
        }
        "capabilities" => [
            "/service?SERVICE=WMS&REQUEST=GetCapabilities",
            "/wmts/1.0.0/WMTSCapabilities.xml",
        ][random.below(2) as usize]
            .to_owned(),
        _ => NONSENSE[random.below(NONSENSE.len() as u32) as usize].to_owned(),
    }
}

#[derive(Debug, Default)]
struct Record {
    /// seconds of each answer
    times: BTreeMap<&'static str, Vec<f32>>,
    wrong: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let minutes: f64 = std::env::args().nth(1).map_or(Ok(10.0), |text| text.parse())?;
    let only = std::env::args().nth(2);
    let only = KINDS
        .iter()
        .map(|(kind, _)| *kind)
        .find(|kind| Some(*kind) == only.as_deref());
    let site = Site::new(CONFIGURATION)?;
    let socket = fastcgi::socket(site.folder());
    let fastcgi = format!("--access-log off --fastcgi unix:{}", socket.display());
    let mut server = site.server()?.args(&fastcgi).start().await?;
    let before = descriptors(&server)?;
    let record = Arc::new(Mutex::new(Record::default()));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let place = if number % 2 == 0 {
                Place::Http(server.address())
            } else {
                Place::FastCgi(socket.clone())
            };
            tokio::spawn(client(
                place,
                only,
                Random::new(number + 1),
                Arc::clone(&record),
                Arc::clone(&stop),
            ))
        })
        .collect();

    let began = Instant::now();
    let mut first_minute = None;
    while began.elapsed().as_secs_f64() < minutes * 60.0 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let memory = memory(&server)?;
        if began.elapsed() >= Duration::from_mins(1) {
            first_minute.get_or_insert(memory);
        }
        let answers: usize = lock(&record).times.values().map(Vec::len).sum();
        say(&format!(
            "{:4.0} s: {answers} answers, {} MiB",
            began.elapsed().as_secs_f64(),
            memory >> 10
        ))?;
    }
    let last = memory(&server)?;
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await??;
    }

    let record = std::mem::take(&mut *lock(&record));
    for (kind, mut times) in record.times {
        times.sort_by(f32::total_cmp);
        let at = |share: f64| 1000.0 * times[((times.len() - 1) as f64 * share) as usize];
        say(&format!(
            "{kind:13} {:7} answers, median {:6.1} ms, 99 % {:7.1} ms, longest {:7.1} ms",
            times.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        ))?;
    }
    // connections that clients have closed are noticed a moment later
    tokio::time::sleep(Duration::from_secs(2)).await;
    let locks = site
        .cached_files()
        .into_iter()
        .filter(|file| {
            file.extension()
                .is_some_and(|extension| extension == "lck" || extension == "tmp")
        })
        .count();
    say(&format!(
        "memory after a minute and at the end: {} and {} MiB; descriptors before and after: {before} and {}; locks and unfinished files left: {locks}",
        first_minute.unwrap_or(last) >> 10,
        last >> 10,
        descriptors(&server)?
    ))?;
    server.terminate()?;
    let ended = server.wait().await?;
    ensure!(ended.success(), "the server ended with {ended}");
    ensure!(locks == 0, "locks are left");
    ensure!(
        record.wrong.is_empty(),
        "{} wrong answers: {:?}",
        record.wrong.len(),
        record.wrong.first()
    );
    Ok(())
}

/// Where a client asks.
enum Place {
    Http(SocketAddr),
    FastCgi(PathBuf),
}

enum Connection {
    Http(SendRequest<Empty<Bytes>>),
    FastCgi(fastcgi::Connection),
}

impl Place {
    async fn connect(&self) -> Result<Connection> {
        match self {
            Self::Http(address) => {
                let stream = TcpStream::connect(address).await?;
                let (sender, connection) = handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                Ok(Connection::Http(sender))
            }
            Self::FastCgi(socket) => Ok(Connection::FastCgi(fastcgi::Connection::open(socket).await?)),
        }
    }
}

impl Connection {
    /// Status and body.
    async fn ask(&mut self, path: &str) -> Result<(u16, Bytes)> {
        match self {
            Self::Http(sender) => {
                let request = Request::get(path).header(HOST, "localhost").body(Empty::new())?;
                let answer = sender.send_request(request).await?;
                let status = answer.status().as_u16();
                Ok((status, answer.into_body().collect().await?.to_bytes()))
            }
            Self::FastCgi(connection) => {
                let answer = connection.ask(&fastcgi::variables(path), &[]).await?;
                Ok((answer.status().as_u16(), answer.into_body()))
            }
        }
    }

    /// Whether it can be asked something more.
    async fn is_ready(&mut self) -> bool {
        match self {
            Self::Http(sender) => sender.ready().await.is_ok(),
            Self::FastCgi(_) => true,
        }
    }
}

async fn client(
    place: Place,
    only: Option<&'static str>,
    mut random: Random,
    record: Arc<Mutex<Record>>,
    stop: Arc<AtomicBool>,
) -> Result<()> {
    let mut connection = place.connect().await?;
    while !stop.load(Ordering::Relaxed) {
        if !connection.is_ready().await {
            connection = place.connect().await?;
        }
        let mut dice = random.below(100);
        let kind = KINDS.iter().find(|(_, share)| {
            let found = dice < *share;
            dice = dice.saturating_sub(*share);
            found
        });
        let kind = only.unwrap_or(kind.map_or("tile", |(kind, _)| kind));
        let path = path(kind, &mut random);
        let began = Instant::now();
        let outcome = connection.ask(&path).await;
        let took = began.elapsed().as_secs_f32();
        let mut record = lock(&record);
        record.times.entry(kind).or_default().push(took);
        match outcome {
            Ok((400..500, _)) if kind == "nonsense" => {}
            Ok((200, body)) if kind != "nonsense" && !body.is_empty() && !is_exception(&body) => {}
            Ok((status, body)) => record.wrong.push(format!(
                "{path}: {status} {}",
                String::from_utf8_lossy(&body[..body.len().min(300)])
            )),
            Err(error) => record.wrong.push(format!("{path}: {error:#}")),
        }
    }
    Ok(())
}

fn is_exception(body: &Bytes) -> bool {
    body.windows(16)
        .any(|window| window == b"ServiceException" || window == b"<ExceptionReport")
}

fn lock(record: &Mutex<Record>) -> std::sync::MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The server's process and those of its workers.
fn processes(server: &Server) -> Result<Vec<i32>> {
    let mut all = server.workers()?;
    all.push(server.pid()?.as_raw_nonzero().get());
    Ok(all)
}

/// Memory of all its processes in KiB, what they share counted once.
fn memory(server: &Server) -> Result<u64> {
    let of = |pid: i32| -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Pss:"))
            .context("there is a sum")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    };
    processes(server)?.into_iter().map(of).sum()
}

fn descriptors(server: &Server) -> Result<usize> {
    let of = |pid: i32| Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count());
    processes(server)?.into_iter().map(of).sum()
}
