//! The arguments of the binding stanza.
#![no_main]

use bulla_fuzz::check_binding;
use bulla_shared::binding::Binding;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let args: Vec<&str> = text.split(' ').collect();
    if let Ok(binding) = Binding::from_args(&args) {
        assert_eq!(binding.to_string(), text, "a binding has one text");
        check_binding(&binding);
    }
});
