"""Moving bytes between local trees and a store, in parallel and in bounded memory."""
