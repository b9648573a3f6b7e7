//! The bytes of a sealed value, put into base64 here, so that mutations reach the header and not the encoding.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bulla_fuzz::check_sealed;
use bulla_shared::age::header::{Header, INTRO, Limits, write_mac, write_stanza};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let strict = Header::read(bytes, Limits::SEALED);
    let wide = Header::read(bytes, Limits::AGE);
    if let Ok(header) = &strict {
        assert_eq!(wide.as_ref(), Ok(header), "limits do not change what is read");
        assert!(header.payload <= Limits::SEALED.header && header.stanzas.len() <= Limits::SEALED.stanzas);
        assert!(bytes[..header.mac_covers].ends_with(b"\n---"));
        // A header has one form: what was read is written again byte for byte.
        let mut written = INTRO.as_bytes().to_vec();
        for stanza in &header.stanzas {
            assert_eq!(stanza.span.start, written.len());
            write_stanza(&mut written, &stanza.args.join(" "), &stanza.body);
            assert_eq!(stanza.span.end, written.len());
        }
        write_mac(&mut written, |_| header.mac);
        assert!(written == bytes[..header.payload]);
    }
    check_sealed(&STANDARD.encode(bytes));
});
