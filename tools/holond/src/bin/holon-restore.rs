//! Run by the module in a surrogate whose process comes home; not for people.

use clap::Parser;

/// Turns a surrogate into its process again. Started by the kernel module only.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The module's number of the image, in hexadecimal.
    #[arg(long, value_parser = hexadecimal)]
    image: u64,
    /// Descriptor of /dev/holon.
    #[arg(long)]
    fd: i32,
}

fn hexadecimal(text: &str) -> Result<u64, std::num::ParseIntError> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16)
}

fn main() {
    let args = Args::parse();
    holond::restore::run_at_home(args.image, args.fd)
}
