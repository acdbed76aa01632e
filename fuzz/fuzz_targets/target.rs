//! The one reading of a request: what it lets pass is what a strict panel reads, too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::gate::Target;

fuzz_target!(|input: (&str, &str, &str)| {
    let (method, target, host) = input;
    let request = http::Request::builder()
        .method(method)
        .uri(target)
        .header("host", host)
        .body(());
    let Ok(request) = request else { return };
    let (parts, ()) = request.into_parts();
    let Ok(read) = Target::read(&parts) else {
        return;
    };
    let path = read.path().as_str();
    assert!(path.starts_with('/'));
    assert!(
        !path
            .bytes()
            .any(|byte| byte.is_ascii_control() || b"\\#".contains(&byte))
    );
    for segment in path.split('/') {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        assert!(plain != "." && plain != "..", "{path}");
    }
    // What is sent on is read as what was judged.
    let again = http::Request::builder()
        .method(read.method())
        .uri(read.path_and_query().clone())
        .header("host", read.host().written())
        .body(())
        .expect("what was read is a target");
    let again = Target::read(&again.into_parts().0).expect("and is read again");
    assert_eq!(again.path_and_query(), read.path_and_query());
    assert_eq!(again.host().canonical(), read.host().canonical());
});
