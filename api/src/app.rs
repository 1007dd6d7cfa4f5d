//! What every request shares: the core, the schema, budgets and known documents.

use std::path::PathBuf;
use std::sync::Arc;

use domain::Domain;

use crate::graphql::persisted::{AllowList, Documents};
use crate::graphql::{self, Schema};
use crate::http::cors::Origins;
use crate::live::Live;
use crate::rates::{self, Rates};
use crate::roles::Roles;

/// What of the settings concerns requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub rates: rates::Settings,
    /// A file with the documents that may run; any may without it.
    pub allowed_queries: Option<PathBuf>,
    /// Whose pages may call from a browser.
    pub allowed_origins: Origins,
    /// The header in which a proxy in front tells the client's address.
    pub address_header: Option<String>,
    /// The tenant that the form on the page has filled in.
    pub form_tenant: Option<String>,
    /// What this process does.
    pub roles: Roles,
}

#[derive(Clone)]
pub struct App {
    pub domain: Domain,
    pub schema: Schema,
    pub rates: Arc<Rates>,
    pub documents: Arc<Documents>,
    pub origins: Arc<Origins>,
    pub address_header: Option<Arc<str>>,
    pub form_tenant: Option<Arc<str>>,
    pub roles: Roles,
    pub live: Live,
}

impl App {
    /// Reads the list of allowed documents, where there is one. The error says what is wrong with it.
    pub fn new(domain: Domain, settings: &Settings) -> Result<Self, String> {
        let allowed = settings.allowed_queries.as_deref().map(AllowList::read).transpose()?;
        Ok(Self {
            schema: graphql::schema(),
            rates: Arc::new(Rates::new(&settings.rates, Some(domain.clone()))),
            domain,
            documents: Arc::new(Documents::new(allowed)),
            origins: Arc::new(settings.allowed_origins.clone()),
            address_header: settings.address_header.as_deref().map(Arc::from),
            form_tenant: settings.form_tenant.as_deref().map(Arc::from),
            roles: settings.roles,
            live: Live::default(),
        })
    }
}
