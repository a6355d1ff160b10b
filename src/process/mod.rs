//! The server as a process of its operating system: the files that tell where it is, the signals
//! it obeys and sends, what it says at start, and what it uses of the machine.
//!
//! * [`banner`]: the lines logged at start ("spec 02, 8.1");
//! * [`pid_file`], [`ports_file`]: the files of "spec 02, 8.2 and 8.3";
//! * [`signals`]: delivery of signals to the server ("spec 02, 9.1");
//! * [`signal_command`]: `--signal` ("spec 02, 9.2");
//! * [`usage`]: processor and memory use, as `/varz` shows them;
//! * [`limits`]: the open-files limit and the size of memory;
//! * [`host`], [`errno`], [`text`], [`version`]: facts and wordings used by the above.

pub mod banner;
pub mod errno;
pub mod host;
pub mod limits;
pub mod pid_file;
pub mod ports_file;
pub mod signal_command;
pub mod signals;
pub mod text;
pub mod usage;
pub mod version;
