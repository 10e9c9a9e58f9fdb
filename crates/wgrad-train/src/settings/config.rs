//! Settings of a run as a struct, from the table.

use super::table::table;
use super::value::{Field, Value};
use serde::{Deserialize, Serialize};

/// Writes [`Config`] from the table.
macro_rules! config {
    ($($group:literal { $(
        $(#[doc = $help:literal])+
        $name:ident: $type:ty = $default:expr $(, for { $($models:literal = $own:expr),+ })? => $about:expr;
    )+ })+) => {
        /// Settings of a training run. Every field has a default; a run's `config.toml` holds them all.
        ///
        /// [`crate::settings`] lists what is known of each.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Config {
            $($($(#[doc = $help])+ pub $name: $type,)+)+
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($($name: <$type as Field>::of_literal($default),)+)+ }
            }
        }

        impl Config {
            /// Value of a setting; `None` if there is no setting of this name.
            pub fn get(&self, name: &str) -> Option<Value> {
                match name {
                    $($(stringify!($name) => Some(self.$name.value()),)+)+
                    _ => None,
                }
            }

            /// Replaces a value; `None` if the setting has another type or does not exist.
            pub(super) fn put(&mut self, name: &str, value: Value) -> Option<()> {
                match name {
                    $($(stringify!($name) => self.$name = Field::of_value(value)?,)+)+
                    _ => return None,
                }
                Some(())
            }
        }
    };
}

table!(config);
