//! Limits on what all pieces together ask of the sources: rates, and pauses that servers ask for.
//!
//! A request passes the turnstile before it is sent, so the rate holds whatever pieces do. Pieces are not begun while
//! requests wait here (see [`Turnstile::opens`]): the time a request waits counts towards its time-out.

use std::collections::HashMap;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use wasmtime_wasi_http::Error;

use crate::outbound::{Gate, OriginKey};

/// A request that would wait longer is refused, and its piece is begun anew when the way is free.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Servers that ask for more are asked again all the same.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// Pause after a 429 that names none; it doubles while they go on.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_OWN_PAUSE: Duration = Duration::from_mins(1);

/// `[HOST=]N/s`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rate {
    /// `host` or `host:port`; `None`: all sources together
    host: Option<String>,
    /// time between two requests
    interval: Duration,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, rate) = match text.rsplit_once('=') {
            Some((host, rate)) => (Some(host.to_ascii_lowercase()), rate),
            None => (None, text),
        };
        let (number, unit) = rate.split_once('/').unwrap_or((rate, "s"));
        let seconds = match unit {
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            unit => return Err(format!("unknown unit `{unit}`; expected one of s, m, h")),
        };
        let number: f64 = number
            .parse()
            .map_err(|_error| format!("`{text}` is no rate; expected `10/s` or `host=10/s`"))?;
        let interval = Duration::try_from_secs_f64(seconds / number)
            .ok()
            .filter(|interval| *interval > Duration::ZERO && *interval <= Duration::from_hours(24))
            .ok_or_else(|| format!("`{text}` is no rate; expected a number above 0"))?;
        Ok(Self { host, interval })
    }
}

/// All rates of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rates(Vec<Rate>);

impl Rates {
    pub(crate) fn new(rates: Vec<Rate>) -> Self {
        Self(rates)
    }

    fn total(&self) -> Option<Duration> {
        self.0
            .iter()
            .filter(|rate| rate.host.is_none())
            .map(|rate| rate.interval)
            .max()
    }

    fn of(&self, origin: &OriginKey) -> Option<Duration> {
        let with_port = format!("{}:{}", origin.host, origin.port);
        let fits = |rate: &&Rate| {
            rate.host
                .as_ref()
                .is_some_and(|host| *host == origin.host || *host == with_port)
        };
        self.0.iter().filter(fits).map(|rate| rate.interval).max()
    }

    /// Requests a second that are possible at most, for estimates; what only one server bears says nothing about a task.
    pub(crate) fn per_second(&self) -> Option<f64> {
        self.total().map(|interval| 1.0 / interval.as_secs_f64())
    }
}

/// Where every request of every piece passes.
pub(crate) struct Turnstile {
    rates: Rates,
    state: Mutex<State>,
    requests: AtomicU64,
    refused: AtomicU64,
}

#[derive(Default)]
struct State {
    /// when the next request of all may go
    next: Option<Instant>,
    origins: HashMap<OriginKey, Way>,
}

/// To one server.
#[derive(Default)]
struct Way {
    interval: Option<Duration>,
    next: Option<Instant>,
    /// the server asked for quiet until then
    paused_until: Option<Instant>,
    own_pause: Option<Duration>,
}

impl Turnstile {
    pub(crate) fn new(rates: Rates) -> Arc<Self> {
        Arc::new(Self {
            rates,
            state: Mutex::default(),
            requests: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }

    pub(crate) fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Requests sent so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave these numbers in disorder.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a request to one of these servers could go at once; `None`: now. No servers: nothing is known yet.
    pub(super) fn opens(&self, origins: &[OriginKey]) -> Option<Instant> {
        let state = self.state();
        let ways = origins.iter().filter_map(|origin| state.origins.get(origin));
        let times = ways.flat_map(|way| [way.next, way.paused_until]).chain([state.next]);
        times.flatten().max().filter(|time| *time > Instant::now())
    }

    /// Whether one of these servers asked for a pause.
    pub(super) fn paused(&self, origins: &[OriginKey]) -> bool {
        let state = self.state();
        let mut ways = origins.iter().filter_map(|origin| state.origins.get(origin));
        ways.any(|way| way.paused_until.is_some_and(|until| until > Instant::now()))
    }

    /// Takes a place: how long to wait for it, or why not to.
    fn reserve(&self, origin: &OriginKey, now: Instant) -> Result<Duration, ()> {
        let mut state = self.state();
        let total = self.rates.total();
        let all = total.and(state.next).unwrap_or(now);
        let way = state.origins.entry(origin.clone()).or_insert_with(|| Way {
            interval: self.rates.of(origin),
            ..Way::default()
        });
        let at = [Some(now), Some(all), way.interval.and(way.next), way.paused_until];
        let at = at.into_iter().flatten().max().unwrap_or(now);
        let wait = at.saturating_duration_since(now);
        if wait > LONGEST_WAIT {
            return Err(());
        }
        way.next = way.interval.map(|interval| at + interval);
        state.next = total.map(|interval| at + interval);
        Ok(wait)
    }

    fn note(&self, origin: &OriginKey, status: Option<StatusCode>, headers: Option<&HeaderMap>) {
        let asked = headers.and_then(|headers| retry_after(headers, SystemTime::now()));
        let mut state = self.state();
        let Some(way) = state.origins.get_mut(origin) else {
            return;
        };
        let pause = match status {
            Some(StatusCode::TOO_MANY_REQUESTS) => {
                let own = way
                    .own_pause
                    .map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_OWN_PAUSE));
                way.own_pause = Some(own);
                Some(asked.unwrap_or(own))
            }
            Some(StatusCode::SERVICE_UNAVAILABLE) => asked,
            Some(status) if status.is_success() => {
                way.own_pause = None;
                None
            }
            _ => None,
        };
        if let Some(pause) = pause {
            self.refused.fetch_add(1, Ordering::Relaxed);
            let until = Instant::now() + pause.min(LONGEST_PAUSE);
            way.paused_until = Some(way.paused_until.map_or(until, |known| known.max(until)));
        }
    }
}

/// Seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// The side of one piece: passes its requests on to the turnstile and remembers them.
pub(super) struct PieceGate {
    turnstile: Arc<Turnstile>,
    seen: Mutex<Seen>,
    held: AtomicBool,
}

/// What a piece asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) origins: Vec<OriginKey>,
    pub(super) requests: u32,
}

impl PieceGate {
    pub(super) fn new(turnstile: Arc<Turnstile>) -> Arc<Self> {
        Arc::new(Self {
            turnstile,
            seen: Mutex::default(),
            held: AtomicBool::new(false),
        })
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A request was not sent: that the piece failed says nothing about it.
    pub(super) fn was_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }
}

impl Gate for PieceGate {
    fn admit<'a>(&'a self, origin: &'a OriginKey) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>> {
        Box::pin(async move {
            {
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.requests += 1;
                if !seen.origins.contains(origin) {
                    seen.origins.push(origin.clone());
                }
            }
            loop {
                let Ok(wait) = self.turnstile.reserve(origin, Instant::now()) else {
                    self.held.store(true, Ordering::Relaxed);
                    return Err(Error::HttpRequestDenied);
                };
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                // The server may have asked for a pause meanwhile.
                if !self.turnstile.paused(std::slice::from_ref(origin)) {
                    break;
                }
            }
            self.turnstile.requests.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
    }

    fn answered(&self, origin: &OriginKey, answer: Option<(StatusCode, &HeaderMap)>, _elapsed: Duration) {
        self.turnstile.note(
            origin,
            answer.map(|(status, _)| status),
            answer.map(|(_, headers)| headers),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(host: &str) -> OriginKey {
        OriginKey {
            https: false,
            host: host.to_owned(),
            port: 80,
        }
    }

    fn turnstile(rates: &[&str]) -> Arc<Turnstile> {
        Turnstile::new(Rates::new(rates.iter().map(|rate| rate.parse().unwrap()).collect()))
    }

    #[test]
    fn rates_are_understood() {
        let check = |text: &str, expect: Option<(Option<&str>, u64)>| {
            let rate = text.parse::<Rate>().ok();
            let rate = rate
                .as_ref()
                .map(|rate| (rate.host.as_deref(), rate.interval.as_millis() as u64));
            assert_eq!(rate, expect, "{text}");
        };
        check("10/s", Some((None, 100)));
        check("4", Some((None, 250)));
        check("30/m", Some((None, 2000)));
        check("Maps.Example.org=2/s", Some((Some("maps.example.org"), 500)));
        check("localhost:8080=0.5/s", Some((Some("localhost:8080"), 2000)));
        for wrong in ["", "fast", "0/s", "-1/s", "1/y", "NaN/s", "1e300/s", "a=b"] {
            check(wrong, None);
        }
    }

    #[test]
    fn requests_are_spaced_out() {
        let turnstile = turnstile(&["10/s", "slow=2/s"]);
        let now = Instant::now();
        let wait = |host: &str| turnstile.reserve(&origin(host), now).map(|wait| wait.as_millis());
        assert_eq!(wait("fast"), Ok(0));
        assert_eq!(wait("slow"), Ok(100), "behind the first");
        assert_eq!(wait("fast"), Ok(200));
        assert_eq!(
            wait("slow"),
            Ok(600),
            "half a second behind the other one to this server"
        );
        assert_eq!(wait("fast"), Ok(700));
    }

    #[test]
    fn whoever_would_wait_too_long_comes_back() {
        let turnstile = turnstile(&["1/m"]);
        let now = Instant::now();
        assert!(turnstile.reserve(&origin("a"), now).is_ok());
        assert!(turnstile.reserve(&origin("a"), now).is_err());
        assert!(
            turnstile
                .opens(&[])
                .is_some_and(|time| time > now + Duration::from_secs(50))
        );
    }

    #[test]
    fn servers_can_ask_for_quiet() {
        let turnstile = turnstile(&[]);
        let (busy, other) = (origin("busy"), origin("other"));
        for origin in [&busy, &other] {
            turnstile.reserve(origin, Instant::now()).unwrap();
        }
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "30".parse().unwrap());
        turnstile.note(&busy, Some(StatusCode::SERVICE_UNAVAILABLE), Some(&headers));
        assert!(turnstile.reserve(&busy, Instant::now()).is_err());
        assert!(turnstile.reserve(&other, Instant::now()).is_ok());
        assert!(turnstile.opens(std::slice::from_ref(&busy)).is_some());
        assert!(turnstile.opens(std::slice::from_ref(&other)).is_none());
        turnstile.note(&other, Some(StatusCode::TOO_MANY_REQUESTS), None);
        let first = turnstile.opens(std::slice::from_ref(&other)).unwrap();
        turnstile.note(&other, Some(StatusCode::TOO_MANY_REQUESTS), None);
        assert!(
            turnstile.opens(&[other]).unwrap() > first + Duration::from_millis(500),
            "the pause doubles"
        );
    }

    #[tokio::test]
    async fn what_waits_for_its_turn_waits_for_a_pause_too() {
        let turnstile = turnstile(&["20/s"]);
        let busy = origin("busy");
        turnstile.reserve(&busy, Instant::now()).unwrap();
        let gate = PieceGate::new(Arc::clone(&turnstile));
        let waiting = tokio::spawn({
            let busy = busy.clone();
            async move { gate.admit(&busy).await.is_ok() }
        });
        tokio::task::yield_now().await;
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "1".parse().unwrap());
        turnstile.note(&busy, Some(StatusCode::TOO_MANY_REQUESTS), Some(&headers));
        let pause_ends = Instant::now() + Duration::from_millis(950);
        assert!(waiting.await.unwrap());
        assert!(Instant::now() > pause_ends);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let check = |text: &str, expect: Option<u64>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            assert_eq!(retry_after(&headers, now).map(|wait| wait.as_secs()), expect, "{text}");
        };
        check("120", Some(120));
        check("Sun, 06 Nov 1994 08:50:00 GMT", Some(23));
        check("Sun, 06 Nov 1994 08:00:00 GMT", Some(0));
        check("soon", None);
    }
}
