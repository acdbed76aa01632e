//! Blocks of documents, as they stand there.

/// The documents.
pub(crate) const PROXIES: &str = include_str!("../../docs/behind-a-proxy.md");
pub(crate) const README: &str = include_str!("../../README.md");

/// Every block of a language, in order.
pub(crate) fn blocks(document: &str, language: &str) -> Vec<String> {
    let fence = format!("\n```{language}\n");
    let begun = document.split(&fence).skip(1);
    let blocks = begun.map(|rest| rest[..rest.find("\n```").unwrap()].to_owned() + "\n");
    blocks.collect()
}

/// The only block of a language that has these words.
pub(crate) fn block(document: &str, language: &str, words: &str) -> String {
    let mut found = blocks(document, language);
    found.retain(|block| block.contains(words));
    assert_eq!(found.len(), 1, "blocks of {language} with {words}");
    found.remove(0)
}

/// The text with something else in the place of what stands there so often.
pub(crate) fn put(text: &str, old: &str, new: &str, times: usize) -> String {
    assert_eq!(text.matches(old).count(), times, "{old} in\n{text}");
    text.replace(old, new)
}
