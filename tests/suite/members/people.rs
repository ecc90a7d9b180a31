//! People with browsers, who come in as people do.

use jimo_connect::{
    members,
    model::{PersonId, ProjectId},
    store::projects::Role,
};
use reqwest::{Response, StatusCode, header};

use crate::pages::world::{Browser, World};

pub const PASSWORD: &str = "correct horse battery";

pub fn location(answer: &Response) -> &str {
    answer.headers()[header::LOCATION].to_str().unwrap()
}

/// The session's cookie that an answer sets, as browsers send it.
pub fn cookie(answer: &Response) -> Option<String> {
    let set = answer.headers().get_all(header::SET_COOKIE).into_iter();
    let set = set.map(|value| value.to_str().unwrap().split(';').next().unwrap());
    let session = set.filter(|pair| pair.contains("jimo_session="));
    session.map(str::to_owned).next_back()
}

/// The token that an address has.
pub fn token(address: &str) -> String {
    address.split_once("token=").unwrap().1.to_owned()
}

/// What stands in the field with this id.
pub fn field(page: &str, id: &str) -> String {
    let (_, rest) = page
        .split_once(&format!("id=\"{id}\""))
        .unwrap_or_else(|| panic!("{id} is not in {page}"));
    let (_, rest) = rest.split_once("value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// Sends a form of the pages, with the code that they carry.
pub async fn send(browser: &Browser<'_>, path: &str, form: &[(&str, &str)]) -> Response {
    let csrf = browser.csrf().await;
    let mut form = form.to_vec();
    form.push(("csrf", &csrf));
    browser.post(path, &form).await
}

/// [`send`], of a form that is taken: it leads to this path.
pub async fn done(browser: &Browser<'_>, path: &str, form: &[(&str, &str)], to: &str) {
    let answer = send(browser, path, form).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}");
    assert_eq!(location(&answer), to, "{path}");
}

/// The page that answers a form, with its status.
pub async fn told(browser: &Browser<'_>, path: &str, form: &[(&str, &str)]) -> (u16, String) {
    let answer = send(browser, path, form).await;
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// The link that the host tells its operator.
pub async fn owners_link(world: &World) -> Option<String> {
    let link = members::make_owner_link(&world.host).await.unwrap();
    link.map(|link| token(link.as_str()))
}

/// The form of the first page.
pub fn welcome<'f>(token: &'f str, email: &'f str) -> Vec<(&'static str, &'f str)> {
    vec![
        ("token", token),
        ("project", "Northwind Two"),
        ("time_zone", "Europe/Paris"),
        ("name", "Olga Owner"),
        ("email", email),
        ("password", PASSWORD),
    ]
}

/// The first member, signed in to a project of their own.
pub async fn owner(world: &World) -> Browser<'_> {
    let token = owners_link(world).await.unwrap();
    let mut browser = Browser::new(world);
    let form = welcome(&token, "olga@example.com");
    let answer = browser.post("/welcome", &form).await;
    assert_eq!(location(&answer), "/settings/integrations");
    browser.cookie = cookie(&answer);
    browser
}

/// Makes an invitation; returns its token.
pub async fn invite(admin: &Browser<'_>, email: &str, role: &str) -> String {
    let form = [("email", email), ("role", role)];
    let (status, page) = told(admin, "/settings/team", &form).await;
    assert_eq!(status, 200, "{page}");
    token(&field(&page, "link"))
}

/// Somebody new, who accepts an invitation.
pub async fn join<'w>(world: &'w World, token: &str, name: &str) -> Browser<'w> {
    let mut browser = Browser::new(world);
    let form = [("token", token), ("name", name), ("password", PASSWORD)];
    let answer = browser.post("/join", &form).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    browser.cookie = cookie(&answer);
    browser
}

/// Mei, who has accepted an admin's invitation, signed in to their project.
pub async fn invited<'w>(world: &'w World, admin: &Browser<'_>, role: &str) -> Browser<'w> {
    let token = invite(admin, "mei@example.com", role).await;
    join(world, &token, "Mei").await
}

/// Tries to sign in by a password.
pub async fn try_password(browser: &Browser<'_>, email: &str, password: &str) -> Response {
    let form = [("email", email), ("password", password)];
    browser.post("/sign-in", &form).await
}

/// Signs in by a password.
pub async fn sign_in<'w>(world: &'w World, email: &str, password: &str) -> Browser<'w> {
    let mut browser = Browser::new(world);
    let answer = try_password(&browser, email, password).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    browser.cookie = cookie(&answer);
    browser
}

/// Whether a browser is signed in.
pub async fn is_in(browser: &Browser<'_>) -> bool {
    browser.get("/users").await.status() == StatusCode::OK
}

/// Who has an address.
pub async fn person(world: &World, email: &str) -> PersonId {
    let key = email.to_owned();
    let found = world.host.store.read(move |tx| tx.person_by_email(&key));
    found.await.unwrap().unwrap().id
}

/// Another project, with these members.
pub async fn project_of(world: &World, name: &str, members: &[(PersonId, Role)]) -> ProjectId {
    let (name, members, now) = (name.to_owned(), members.to_vec(), world.host.clock.now());
    let made = world.host.store.transact(move |tx| {
        let project = tx.create_project(&name, "UTC", now)?.id;
        for (person, role) in members {
            tx.set_member(project, person, role, now)?;
        }
        Ok(project)
    });
    made.await.unwrap()
}

/// Makes somebody a member of a project, or what they may do there another.
pub async fn becomes(world: &World, project: ProjectId, person: PersonId, role: Role) {
    let now = world.host.clock.now();
    let becomes = world
        .host
        .store
        .transact(move |tx| tx.set_member(project, person, role, now));
    becomes.await.unwrap();
}
