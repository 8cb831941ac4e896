//! Instances of the component: one store, one configuration, one request at a time.
//!
//! Everything that does not depend on the request is done once in [`Guests::new`] (linking, looking up exports); what
//! remains per request is measured in docs/performance.md.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::Full;
use tokio::sync::oneshot;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyIndices};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::app::App;
use crate::bindings::{Mapproxy, MapproxyPre};
use crate::directories::InUse;
use crate::guest_log::GuestStream;
use crate::limits::MemoryLimit;
use crate::outbound::Outgoing;

/// What the guest answered: a response, or a code of `wasi:http`.
pub(crate) type Answer = Result<http::Response<HyperOutgoingBody>, ErrorCode>;

/// Why an instance did not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The pool is exhausted or the component does not start.
    #[error("failed to start an instance: {0:#}")]
    Start(wasmtime::Error),
    /// The component refused its compiled configuration.
    #[error("the component refused its configuration: {0}")]
    Configuration(String),
    #[error("the instance needed more than {max_bytes} bytes of memory")]
    Memory { max_bytes: usize },
    /// `unreachable`, a panic, an access outside its memory.
    #[error("the instance trapped: {0}")]
    Trap(String),
    #[error("the request took longer than it may")]
    Deadline,
}

/// What belongs to one instance.
pub(crate) struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outgoing: Outgoing,
    memory: MemoryLimit,
    /// Lives as long as the instance.
    in_use: Option<InUse>,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.outgoing,
        }
    }
}

/// An instance that has its configuration and serves requests, one after the other.
pub(crate) struct Instance {
    store: Store<State>,
    proxy: Proxy,
    served: u32,
}

/// The component, linked and ready to be instantiated.
pub(crate) struct Guests {
    pre: InstancePre<State>,
    compiler: MapproxyPre<State>,
    proxy: ProxyIndices,
    configure: ComponentExportIndex,
    max_memory: usize,
    max_requests: u32,
}

impl Guests {
    /// Links `component`. Each instance gets at most `max_memory` bytes and `max_requests` requests.
    pub(crate) fn new(component: &Component, max_memory: usize, max_requests: u32) -> Result<Self> {
        let mut linker = Linker::<State>::new(component.engine());
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        let pre = linker
            .instantiate_pre(component)
            .map_err(anyhow::Error::from)
            .context("failed to link the component")?;
        let compiler = MapproxyPre::new(pre.clone())
            .map_err(anyhow::Error::from)
            .context("the component does not offer `mapproxy:proxy/configuration`")?;
        let proxy = ProxyIndices::new(&pre)
            .map_err(anyhow::Error::from)
            .context("the component does not offer `wasi:http/incoming-handler`")?;
        let interface = component
            .get_export_index(None, "mapproxy:proxy/configuration@0.1.0")
            .context("the component does not offer `mapproxy:proxy/configuration@0.1.0`")?;
        let configure = component
            .get_export_index(Some(&interface), "configure")
            .context("the component does not offer `configure`")?;
        Ok(Self {
            pre,
            compiler,
            proxy,
            configure,
            max_memory,
            max_requests: max_requests.max(1),
        })
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.pre.engine()
    }

    /// An instance that can do nothing but compute, for `compile`.
    pub(crate) async fn compiler(&self) -> Result<(Store<State>, Mapproxy)> {
        let mut store = self.store(State::new(
            WasiCtx::builder().build(),
            Outgoing::nothing(),
            self.max_memory,
        ));
        let bindings = self.compiler.instantiate_async(&mut store).await?;
        Ok((store, bindings))
    }

    /// Runs one request to its end in an instance of `app`; the answer goes through `respond` as soon as its head is
    /// known, its body while the guest writes it.
    pub(crate) async fn handle(
        &self,
        app: &App,
        request: http::Request<Full<Bytes>>,
        respond: oneshot::Sender<Answer>,
    ) -> Result<(), Failure> {
        let mut instance = match app.take_idle() {
            Some(instance) => instance,
            None => self.instance(app).await?,
        };
        let store = &mut instance.store;
        let mut view = store.data_mut().http();
        let scheme = match request.extensions().get::<http::uri::Scheme>() {
            Some(scheme) if *scheme == http::uri::Scheme::HTTPS => Scheme::Https,
            _ => Scheme::Http,
        };
        let request = view.new_incoming_request(scheme, request).map_err(Failure::Start)?;
        let respond = view.new_response_outparam(respond).map_err(Failure::Start)?;
        let result = instance
            .proxy
            .wasi_http_incoming_handler()
            .call_handle(&mut *store, request, respond)
            .await;
        result.map_err(|error| trap(store, &error))?;
        instance.served += 1;
        if instance.served < self.max_requests {
            app.keep_idle(instance);
        }
        Ok(())
    }

    /// Whether instances of `app` start and accept its configuration.
    pub(crate) async fn probe(&self, app: &App) -> Result<(), Failure> {
        self.instance(app).await.map(drop)
    }

    async fn instance(&self, app: &App) -> Result<Instance, Failure> {
        let mut wasi = WasiCtx::builder();
        wasi.stdout(GuestStream::Stdout)
            .stderr(GuestStream::Stderr)
            .allow_tcp(false)
            .allow_udp(false);
        let mut wasi = wasi.build();
        let (filesystem, in_use) = app.directories.context();
        *wasi.filesystem() = filesystem;
        let outgoing = Outgoing::to(Arc::clone(&app.upstreams));
        let mut state = State::new(wasi, outgoing, self.max_memory);
        state.in_use = Some(in_use);
        let mut store = self.store(state);

        let instance = self
            .pre
            .instantiate_async(&mut store)
            .await
            .map_err(|error| start(&store, error))?;
        let configure = instance
            .get_typed_func::<(&[u8],), (Result<(), String>,)>(&mut store, self.configure)
            .map_err(Failure::Start)?;
        let (accepted,) = configure
            .call_async(&mut store, (app.recipe.compiled.as_slice(),))
            .await
            .map_err(|error| trap(&store, &error))?;
        accepted.map_err(Failure::Configuration)?;
        let proxy = self.proxy.load(&mut store, &instance).map_err(Failure::Start)?;
        Ok(Instance {
            store,
            proxy,
            served: 0,
        })
    }

    fn store(&self, state: State) -> Store<State> {
        let mut store = Store::new(self.engine(), state);
        store.limiter(|state| &mut state.memory);
        // At each tick of the clock a computing guest gives way to other tasks of its thread; that is also where an
        // expired deadline takes effect.
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        store
    }
}

impl State {
    fn new(wasi: WasiCtx, outgoing: Outgoing, max_memory: usize) -> Self {
        Self {
            table: ResourceTable::new(),
            wasi,
            http: WasiHttpCtx::new(),
            outgoing,
            memory: MemoryLimit::new(max_memory),
            in_use: None,
        }
    }
}

fn start(store: &Store<State>, error: wasmtime::Error) -> Failure {
    if store.data().memory.exceeded() {
        trap(store, &error)
    } else {
        Failure::Start(error)
    }
}

/// Tells the memory limit from other traps; the message of a trap is its reason and the names of the functions.
fn trap(store: &Store<State>, error: &wasmtime::Error) -> Failure {
    let memory = &store.data().memory;
    if memory.exceeded() {
        return Failure::Memory {
            max_bytes: memory.max_bytes(),
        };
    }
    Failure::Trap(format!("{:#}", error.root_cause()))
}
