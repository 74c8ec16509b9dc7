//! Temporary files and folders. They go with the program; those of a program that was killed go when the next one
//! writes into their folder.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What all their names begin with; the process and a number follow.
const PREFIX: &str = ".mixscope-tmp-";
/// Names that are tried before giving up: another program may sweep a file between its making and its lock.
const TRIES: usize = 100;

/// The temporary files and folders of this program.
struct Register {
    paths: BTreeSet<PathBuf>,
    /// Folders that were searched for leftovers.
    swept: BTreeSet<PathBuf>,
}

static REGISTER: Mutex<Register> = Mutex::new(Register { paths: BTreeSet::new(), swept: BTreeSet::new() });

fn register() -> MutexGuard<'static, Register> {
    REGISTER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who may read a temporary file, and the file that it becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its owner.
    Private,
    /// Whom the user's files are for.
    Usual,
}

/// A file that is removed unless it gets its final name.
pub struct TempFile {
    /// Open and locked, by which other programs see that this one lives.
    file: File,
    path: PathBuf,
}

impl TempFile {
    /// An empty file in `folder`.
    ///
    /// # Errors
    /// If it can't be made. The error does not name the file, which the user never chose.
    pub fn new_in(folder: &Path, access: Access) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, if access == Access::Private { 0o600 } else { 0o666 });
        let (file, path) = make(folder, |path| options.open(path), |path| fs::remove_file(path))?;
        Ok(Self { file, path })
    }

    /// The file.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives it the name `path`; a file of that name is replaced.
    ///
    /// # Errors
    /// If it can't be renamed.
    pub fn replace(self, path: &Path) -> io::Result<()> {
        let mut register = register();
        fs::rename(&self.path, path)?;
        register.paths.remove(&self.path);
        Ok(())
    }

    /// Gives it the name `path`, which must be free.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] if it is not free; if it can't be renamed.
    pub fn name(self, path: &Path) -> io::Result<()> {
        // An empty file reserves the name: renaming over it is atomic.
        File::create_new(path)?;
        self.replace(path).inspect_err(|_| {
            // The first error is the one to report.
            let _ = fs::remove_file(path);
        })
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let mut register = register();
        if register.paths.remove(&self.path) {
            // If this fails, the next program sweeps it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A folder that is removed with all its files unless it gets its final name.
pub struct TempFolder {
    /// Open and locked, by which other programs see that this one lives.
    _lock: File,
    path: PathBuf,
}

impl TempFolder {
    /// An empty folder in `parent`.
    ///
    /// # Errors
    /// If it can't be made. The error does not name the folder, which the user never chose.
    pub fn new_in(parent: &Path) -> io::Result<Self> {
        let create = |path: &Path| {
            fs::create_dir(path)?;
            File::open(path).inspect_err(|_| {
                let _ = fs::remove_dir(path);
            })
        };
        let (lock, path) = make(parent, create, |path| fs::remove_dir(path))?;
        Ok(Self { _lock: lock, path })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it the name `path`; an empty folder of that name is replaced.
    ///
    /// # Errors
    /// If it can't be renamed.
    pub fn replace(self, path: &Path) -> io::Result<()> {
        let mut register = register();
        fs::rename(&self.path, path)?;
        register.paths.remove(&self.path);
        Ok(())
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let mut register = register();
        if register.paths.remove(&self.path) {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Makes and locks a file or folder under a free name in `folder`, after a sweep.
fn make(
    folder: &Path,
    create: impl Fn(&Path) -> io::Result<File>,
    remove: impl Fn(&Path) -> io::Result<()>,
) -> io::Result<(File, PathBuf)> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let mut register = register();
    if register.swept.insert(folder.to_owned()) {
        sweep(folder);
    }
    for _ in 0..TRIES {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{PREFIX}{}-{number}", std::process::id()));
        let file = match create(&path) {
            // An earlier process had the same number.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            made => made?,
        };
        // Where locks don't work, no program sweeps.
        let is_taken = matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock));
        if is_taken || fs::symlink_metadata(&path).is_err() {
            // Another program took it for a leftover before it was locked.
            let _ = remove(&path);
            continue;
        }
        register.paths.insert(path.clone());
        return Ok((file, path));
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// Removes what programs left in `folder` that were killed. What can't be read or removed stays.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        // Opening a pipe would wait.
        let Some(kind) = entry.file_type().ok().filter(|kind| is_ours && (kind.is_file() || kind.is_dir())) else {
            continue;
        };
        let path = entry.path();
        let Ok(file) = File::open(&path) else { continue };
        // A living program holds the lock, also on another machine that shares the folder.
        if file.try_lock().is_ok() {
            let _ = if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

/// Removes all temporary files and folders of this program, which must end after this: threads that still write wait
/// for ever.
pub fn remove_temporaries() {
    let mut register = register();
    for path in std::mem::take(&mut register.paths) {
        // A thread may write into the folder by its name, so it gets another first.
        let mut aside = path.clone().into_os_string();
        aside.push("-end");
        let path = if fs::rename(&path, &aside).is_ok() { aside.into() } else { path };
        let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    }
    std::mem::forget(register);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_gets_its_name_or_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let make = |text: &str| {
            let mut temp = TempFile::new_in(folder.path(), Access::Usual).unwrap();
            temp.file().write_all(text.as_bytes()).unwrap();
            temp
        };
        drop(make("lost"));
        assert_eq!(names(folder.path()), [""; 0]);
        make("first").name(&path).unwrap();
        assert_eq!(make("second").name(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!((names(folder.path()), fs::read(&path).unwrap()), (vec!["a".to_owned()], b"first".to_vec()));
        make("third").replace(&path).unwrap();
        assert_eq!((names(folder.path()), fs::read(&path).unwrap()), (vec!["a".to_owned()], b"third".to_vec()));
        let temp = TempFolder::new_in(folder.path()).unwrap();
        fs::write(temp.path().join("x"), "x").unwrap();
        drop(temp);
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn leftovers_go_and_what_is_in_use_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at(".mixscope-tmp-1-0"), "left").unwrap();
        fs::create_dir(at(".mixscope-tmp-1-1")).unwrap();
        fs::write(at(".mixscope-tmp-1-1/x"), "left").unwrap();
        let used = File::create(at(".mixscope-tmp-2-0")).unwrap();
        used.try_lock().unwrap();
        fs::write(at(".mixscope"), "mine").unwrap();
        fs::write(at(".tmpAbCdEf"), "mine").unwrap();
        drop(TempFile::new_in(folder.path(), Access::Private).unwrap());
        assert_eq!(names(folder.path()), [".mixscope", ".mixscope-tmp-2-0", ".tmpAbCdEf"]);
    }

    #[test]
    fn an_error_does_not_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("none");
        let errors =
            [TempFile::new_in(&missing, Access::Usual).err().unwrap(), TempFolder::new_in(&missing).err().unwrap()];
        for error in errors {
            assert_eq!(error.to_string(), "No such file or directory (os error 2)");
        }
    }
}
