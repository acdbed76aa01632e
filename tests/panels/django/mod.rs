//! The Django admin as a panel: deployed as its documentation says for a proxy that speaks TLS, and
//! used through the gateway as a person uses it.

mod admin;
mod server;
mod upload;

use self::admin::Admin;
use crate::form::Form;

#[tokio::test]
async fn a_day_in_the_admin() {
    let mut admin = Admin::new().await;
    leads_to_its_own_login(&mut admin).await;
    admin.sign_in().await;
    changes_a_user(&mut admin).await;
    uploads_a_file(&mut admin).await;
    signs_out(&mut admin).await;
    admin.saw_only_its_own();
}

async fn leads_to_its_own_login(admin: &mut Admin) {
    let answer = admin.get("/admin/").await;
    assert_eq!(answer.status, 302);
    assert_eq!(admin.location(&answer), "/admin/login/?next=/admin/");
    let answer = admin.get("/admin").await;
    assert_eq!(answer.status, 301);
    assert_eq!(admin.location(&answer), "/admin/");
}

async fn changes_a_user(admin: &mut Admin) {
    let page = "/admin/auth/user/1/change/";
    let answer = admin.get(page).await;
    let mut form = Form::read(&answer.text(), "id=\"user_form\"");
    assert_eq!(form.value("email"), Some("root@panel.test"));
    form.set("email", "root+new@panel.test");
    let answer = admin.post(page, &form).await;
    assert_eq!(answer.status, 302, "{}", answer.text());
    let list = admin.location(&answer);
    assert_eq!(list, "/admin/auth/user/");
    assert!(
        admin
            .get(&list)
            .await
            .text()
            .contains("root+new@panel.test")
    );
    let again = admin.get(page).await.text();
    let form = Form::read(&again, "id=\"user_form\"");
    assert_eq!(form.value("email"), Some("root+new@panel.test"));
}

async fn uploads_a_file(admin: &mut Admin) {
    let bytes = upload::noise(300_000);
    let form = admin.document("A short one").await;
    let answer = admin.post_with_file(&form, "short.bin", &bytes).await;
    assert_eq!(answer.status, 302, "{}", answer.text());
    assert_eq!(admin.location(&answer), "/admin/shelf/document/");
    assert!(admin.panel.uploaded("short.bin") == bytes, "other bytes");
}

async fn signs_out(admin: &mut Admin) {
    let page = admin.get("/admin/").await;
    assert_eq!(page.status, 200);
    let form = Form::read(&page.text(), "id=\"logout-form\"");
    let answer = admin.post("/admin/logout/", &form).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!admin.person.cookies.contains_key("sessionid"));
    let answer = admin.get("/admin/").await;
    assert_eq!(admin.location(&answer), "/admin/login/?next=/admin/");
    // The gateway's session is another matter.
    assert_eq!(admin.get("/.portcullis/account").await.status, 200);
}

#[tokio::test]
async fn strangers_get_the_style_sheets_and_nothing_else() {
    let admin = Admin::new().await;
    let mut stranger = admin.person.elsewhere();
    let style = stranger.get("/static/admin/css/base.css").await;
    assert_eq!(style.status, 200);
    assert!(
        style
            .header("content-type")
            .unwrap()
            .starts_with("text/css")
    );
    assert!(style.text().contains("html"));
    let answer = stranger.get("/admin/login/").await;
    assert_eq!(answer.status, 303);
    assert_eq!(
        answer.header("location"),
        Some("/.portcullis/login?next=%2Fadmin%2Flogin%2F")
    );
    assert!(admin.panel.requests().is_empty(), "the panel was asked");
}

#[tokio::test]
async fn an_ended_session_ends_the_admin_although_its_own_cookie_lives() {
    let mut admin = Admin::new().await;
    admin.sign_in().await;
    let before = admin.panel.requests().len();

    let token = admin.gateway.token("revoke");
    let path = format!("/v1/users/{}/sessions", admin.person.name);
    let ended = admin.gateway.call(&token, "DELETE", &path, "").await;
    assert_eq!(ended.status, 200, "{}", ended.text());

    assert!(admin.person.cookies.contains_key("sessionid"));
    let answer = admin.get("/admin/").await;
    assert_eq!(answer.status, 303);
    let login = "/.portcullis/login?next=%2Fadmin%2F";
    assert_eq!(admin.location(&answer), login);
    assert_eq!(admin.panel.requests().len(), before, "the panel was asked");

    // Its own session was never the gateway's to end: the next sign-in finds it.
    assert!(admin.person.cookies.contains_key("sessionid"));
    admin.person.sign_in().await;
    assert_eq!(admin.get("/admin/").await.status, 200);
    admin.saw_only_its_own();
}

#[tokio::test]
async fn a_large_file_is_streamed_in() {
    let mut admin = Admin::new().await;
    admin.sign_in().await;
    let bytes = upload::noise(20 << 20);

    let form = admin.document("In chunks").await;
    let answer = upload::in_chunks(&admin, &form, "chunks.bin", &bytes).await;
    assert_eq!(answer.status, 302, "{}", answer.text());
    assert!(admin.panel.uploaded("chunks.bin") == bytes, "other bytes");

    let form = admin.document("In frames").await;
    let status = upload::in_frames(&admin, &form, "frames.bin", &bytes).await;
    assert_eq!(status, 302);
    assert!(admin.panel.uploaded("frames.bin") == bytes, "other bytes");
    admin.saw_only_its_own();
}
