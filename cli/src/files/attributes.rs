//! What a file that takes another's place has from it: owner and group, access control lists and other extended attributes, permissions.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

use super::Access;

/// Whether a file with these permissions may hold what is for `access`.
pub(super) fn suits(metadata: &Metadata, access: Access) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // The last six bits are those of the group and of others.
        access == Access::Default || metadata.permissions().mode().trailing_zeros() >= 6
    }
    #[cfg(not(unix))]
    {
        let _ = (metadata, access);
        true
    }
}

/// Gives the new file what the old one has; the names of attributes that stay behind come back. It fails where others would get or lose
/// access.
#[cfg(unix)]
pub(super) fn keep(old: &Path, metadata: &Metadata, new: &File) -> io::Result<Vec<String>> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let (was, is) = (metadata, new.metadata()?);
    if (was.uid(), was.gid()) != (is.uid(), is.gid()) {
        let changed = |was: u32, is: u32| (was != is).then_some(was);
        fchown(new, changed(was.uid(), is.uid()), changed(was.gid(), is.gid())).map_err(|error| {
            let cause = format!("it belongs to user {} and group {}, which you cannot give a new file", was.uid(), was.gid());
            io::Error::new(error.kind(), cause)
        })?;
    }
    let lost = keep_extended(old, new);
    // Last, because a new owner takes some of them away, and a list sets others.
    new.set_permissions(metadata.permissions())?;
    Ok(lost)
}

#[cfg(not(unix))]
pub(super) fn keep(_: &Path, metadata: &Metadata, new: &File) -> io::Result<Vec<String>> {
    new.set_permissions(metadata.permissions()).map(|()| Vec::new())
}

#[cfg(target_os = "linux")]
fn keep_extended(old: &Path, new: &File) -> Vec<String> {
    use rustix::buffer::spare_capacity;
    use rustix::fs::{XattrFlags, fgetxattr, fremovexattr, fsetxattr, getxattr, listxattr};
    /// The longest list of names, and the longest value (xattr(7)).
    const MAX: usize = 64 * 1024;
    const ACCESS: &[u8] = b"system.posix_acl_access";
    /// Sums over the content.
    const OF_CONTENT: [&[u8]; 2] = [b"security.ima", b"security.evm"];
    let mut names = Vec::with_capacity(MAX);
    // A file system may have none.
    if listxattr(old, spare_capacity(&mut names)).is_err() {
        return Vec::new();
    }
    let names: Vec<&[u8]> = names.split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
    if !names.contains(&ACCESS) {
        // The folder's default is for new files.
        let _ = fremovexattr(new, ACCESS);
    }
    let is_lost = |name: &&&[u8]| {
        let (mut was, mut is) = (Vec::with_capacity(MAX), Vec::with_capacity(MAX));
        let read = getxattr(old, **name, spare_capacity(&mut was));
        let same = fgetxattr(new, **name, spare_capacity(&mut is)).is_ok() && was == is;
        read.is_err() || !same && fsetxattr(new, **name, &was, XattrFlags::empty()).is_err()
    };
    let lost = names.iter().filter(|name| !OF_CONTENT.contains(name)).filter(is_lost);
    lost.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

/// Elsewhere only what `std` knows is kept.
#[cfg(all(unix, not(target_os = "linux")))]
fn keep_extended(_: &Path, _: &File) -> Vec<String> {
    Vec::new()
}
