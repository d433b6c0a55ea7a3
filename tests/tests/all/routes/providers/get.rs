//! `GET /v1/providers/{provider}`; `list` compares its content with the row of the list.

use crate::setup::World;

#[tokio::test]
async fn names_of_providers_are_compared_verbatim() {
    let world = World::small().await;
    for name in ["ALI", "ali%20", "al", "ali%2F", "%61li%00", "ali."] {
        let reply = world.gateway.get(&format!("/v1/providers/{name}")).await;
        reply.problem(404, "not_found");
    }
    // An escape that is not needed means the same.
    world.gateway.get("/v1/providers/%61li").await.ok();
}
