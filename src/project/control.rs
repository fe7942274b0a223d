//! The configuration of the control node: `ryo-control-node/configuration/configuration.yml`.

use std::path::Path;

use crate::place::Problem;
use crate::project::control_configuration;
use crate::project::settings::Settings;
use crate::secret::Secret;

/// The control node, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The account that owns generated files.
    pub user: String,
    /// Its password for sudo; perhaps empty.
    pub user_password: Secret,
    /// First three parts of the dummy interface's IPv4 network; `.1` is used.
    pub veth0_part: String,
    /// Front of its IPv6 network; `::1` is used.
    pub veth0_prefix: String,
    /// The private key of SSH. `{{ local_non_root_user }}` is replaced.
    pub private_key: String,
    /// The public key of SSH. `{{ local_non_root_user }}` is replaced.
    pub public_key: String,
}

/// Reads the configuration of the control node.
///
/// # Errors
///
/// All [`Problem`]s of the file.
pub fn read(working_directory: &Path) -> Result<Control, Vec<Problem>> {
    let (control, problems, _) = inspect(working_directory);
    control.filter(|_| problems.is_empty()).ok_or(problems)
}

/// Reads the configuration with everything that is wrong with it, then what is doubtful.
pub fn inspect(working_directory: &Path) -> (Option<Control>, Vec<Problem>, Vec<Problem>) {
    let mut settings = match Settings::read(&control_configuration(working_directory)) {
        Ok(settings) => settings,
        Err(problem) => return (None, vec![problem], vec![]),
    };
    let user = settings.filled("local_non_root_user");
    let control = Control {
        user_password: Secret::new(settings.text("local_non_root_user_password")),
        veth0_part: settings.ipv4_part("veth0_network_part"),
        veth0_prefix: settings.ipv6_prefix("veth0_network_ipv6_prefix"),
        private_key: with_user(&settings.filled("local_non_root_user_ssh_private_key_file_path"), &user),
        public_key: with_user(&settings.filled("local_non_root_user_ssh_public_key_file_path"), &user),
        user,
    };
    settings.placeholders(|_| true);
    (Some(control), settings.problems, settings.warnings)
}

/// The shipped values name the account by a template of their own.
fn with_user(path: &str, user: &str) -> String {
    path.replace("{{ local_non_root_user }}", user).replace("{{local_non_root_user}}", user)
}
