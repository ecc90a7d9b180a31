//! A plugin version installed by a form that brings its file.

use std::sync::Arc;

use axum::{
    RequestExt,
    extract::{
        FromRequest, Multipart, Request,
        multipart::{Field, MultipartError},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{
    super::{Error, Visit, format, see_other},
    name, plugins,
};
use crate::{
    host::Host,
    plugin::files::COMPONENT_BYTES_MAX,
    sync::versions::library::{self, Brought},
    web::{
        api::plugins::{NAMELESS, text},
        session::{CSRF_FIELD, Session},
    },
};

/// The largest form. What is larger than a component may be is read to its end all the
/// same, up to this, and kept nowhere: browsers show no answer before they have sent all.
pub(super) const FORM_BYTES_MAX: usize = 8 * COMPONENT_BYTES_MAX;

/// The field that has the file.
const COMPONENT: &str = "component";

/// A form with a file, of a page of this very session.
pub struct Upload {
    session: Session,
    file: Option<String>,
    /// None where it is larger than a component may be.
    component: Option<Vec<u8>>,
}

impl FromRequest<Arc<Host>> for Upload {
    type Rejection = Error;

    /// The code stands before the file, so no file of another page's form is kept.
    async fn from_request(mut request: Request, host: &Arc<Host>) -> Result<Self, Error> {
        let session: Session = request.extract_parts_with_state(host).await?;
        let form = Multipart::from_request(request, host).await;
        let mut form = form.map_err(|_| Error::BadForm)?;
        let upload = Self::read(&mut form, host, session).await;
        // Who still sends sees no answer: what is refused is read to its end as well.
        if upload.is_err() {
            while let Ok(Some(_)) = form.next_field().await {}
        }
        upload
    }
}

impl Upload {
    /// Reads a form as far as it is good.
    async fn read(form: &mut Multipart, host: &Host, session: Session) -> Result<Self, Error> {
        let code = form.next_field().await.map_err(refused)?;
        let code = code.filter(|field| field.name() == Some(CSRF_FIELD));
        let code = code.ok_or(Error::ForeignForm)?;
        if !session.made(host, &code.text().await.map_err(refused)?) {
            return Err(Error::ForeignForm);
        }
        let field = form.next_field().await.map_err(refused)?;
        let field = field.filter(|field| field.name() == Some(COMPONENT));
        let field = field.ok_or(Error::BadForm)?;
        Ok(Self {
            session,
            file: field.file_name().map(str::to_owned),
            component: read(field).await?,
        })
    }
}

/// What is in the file; none where it is too large.
async fn read(mut field: Field<'_>) -> Result<Option<Vec<u8>>, Error> {
    let mut component: Option<Vec<u8>> = Some(Vec::new());
    while let Some(chunk) = field.chunk().await.map_err(refused)? {
        component = component.filter(|read| read.len() + chunk.len() <= COMPONENT_BYTES_MAX);
        if let Some(read) = &mut component {
            read.extend_from_slice(&chunk);
        }
    }
    Ok(component)
}

fn refused(error: MultipartError) -> Error {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Error::LargeForm,
        _ => Error::BadForm,
    }
}

/// `POST /operator/plugins`: checks the component that the form brings, and keeps it.
pub async fn install(visit: Visit, upload: Upload) -> Result<Response, Error> {
    let refusals = match install_it(&visit, upload).await? {
        Ok(digest) => {
            let path = plugins::path(&digest);
            return Ok(see_other(&format!("{path}?done=installed")));
        }
        Err(refusals) => refusals,
    };
    let page = plugins::shown(&visit, None, refusals).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// Installs it, and returns its digest, or why it cannot be.
async fn install_it(visit: &Visit, upload: Upload) -> Result<Result<String, Vec<String>>, Error> {
    let told = |refusal: String| Ok(Err(vec![refusal]));
    let Some(component) = upload.component else {
        return told(format!(
            "This file is larger than {}, which is the most that a component may have.",
            format::bytes(COMPONENT_BYTES_MAX as u64)
        ));
    };
    if component.is_empty() {
        return told("Choose the file of a component first; it is not empty.".to_owned());
    }
    let file = upload.file.filter(|file| !file.is_empty());
    let file = text(Some(file.unwrap_or_else(|| NAMELESS.to_owned())), "file");
    let file = match file {
        Ok(file) => file.unwrap_or_default(),
        Err(error) => return told(error.detail()),
    };
    let host = &visit.host;
    let brought = Brought {
        component,
        file,
        by: name(&upload.session),
    };
    let (directory, now) = (&host.config.data.directory, host.clock.now());
    let (installing, engine) = (&host.installing, &host.engine);
    let installed = library::install(installing, engine, &host.store, directory, brought, now);
    match installed.await.map_err(crate::web::error::Error::from) {
        Ok(version) => {
            host.pipeline.notify_changed();
            Ok(Ok(version.digest))
        }
        Err(error) if error.status().is_client_error() => Ok(Err(error.sentences())),
        Err(error) => Err(error.into()),
    }
}
