//! Newtypes for every identifier.
//!
//! A vendor's identifier is opaque: it is passed on verbatim and never parsed.

macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Returns the identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Returns the owned text.
            #[must_use]
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A vendor's identifier of a job, such as `JobId` or `operationId`.
    JobId
);
id!(
    /// A vendor's identifier of a task, such as `TaskId` or `subOperationId`.
    TaskId
);
id!(
    /// A vendor's identifier of a firmware or software package, such as `FirmwareId`.
    PackageId
);
id!(
    /// A vendor's identifier of a product, such as `ProductKey`.
    ProductId
);
id!(
    /// A vendor's identifier of a device, such as `IotId` or `deviceId`.
    DeviceId
);
id!(
    /// A device's name, unique inside its product.
    DeviceName
);
id!(
    /// The name of one configured provider, such as `cloud-prod`; checked by [`ProviderName::parse`].
    ProviderName
);

impl ProviderName {
    /// The longest name, in characters; the longest DNS label.
    pub const MAX_LEN: usize = 63;

    /// Checks a configured name: 1 to 63 characters of `a-z`, `0-9` and `-`.
    ///
    /// # Errors
    /// Returns what is wrong with the name, fit for an operator.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(format!(
                "a provider name has 1 to {} characters",
                Self::MAX_LEN
            ));
        }
        if !text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        {
            return Err("a provider name consists of a-z, 0-9 and `-`".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}
